"""The first steps of a design taken by our engine and by PyTorch, drawn over each other."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st

from playground.errors import PlaygroundError
from playground.figures import lines, style
from playground.numbers import number
from playground.training.scratch.losses import learnt_from
from playground.ui import frame, links
from playground.ui.parts.torch_process import asked_torch
from playground.ui.studio.loss_gap import unit_of

STEPS = 60
PATIENCE_SECONDS = 120


@frame.guarded("Both engines")
def both_engines(request: Mapping[str, Any], seed: int) -> None:
    """A button, and the losses of both over the first steps, with how far they are apart."""
    st.markdown(f"The first {STEPS} steps of this training, by our engine and by PyTorch: the same design, first "
                "weights, pictures and order. Dropout and augmentation, whose random numbers are each engine's own, "
                "are left out.")
    asked = json.dumps({"request": dict(request), "seed": seed, "steps": STEPS}, sort_keys=True)
    wanted = st.session_state.get("both-wanted")
    if st.button("Take them in both", key="both", disabled=links.locked()):
        st.session_state["both-wanted"] = wanted = asked
    if wanted != asked:
        return
    losses = taken(asked)
    ours, theirs = np.array(losses["engine"]), np.array(losses["torch"])
    st.plotly_chart(
        lines.lines(list(range(1, len(ours) + 1)), {"our engine": ours.tolist(), "PyTorch": theirs.tolist()},
                    titles=("step", f"loss ({unit_of(learnt_from(request))})"), height=260),
        config=style.CONFIG, key="both-drawn", alt="Loss of both engines over the first steps")
    apart = np.abs(ours - theirs)
    st.caption(f"At step 1 they are {number(float(apart[0]), 2)} apart, at most {number(float(apart.max()), 2)} in "
               f"{len(ours)} steps, at step {int(apart.argmax()) + 1}. Both compute with 24 binary digits and add in "
               "another order; every step builds on the one before, so what is rounded otherwise grows slowly.")


@st.cache_data(max_entries=32, show_spinner="PyTorch starts in a process of its own …")
def taken(asked: str) -> dict[str, list[float]]:
    """The losses, computed by playground.training.scratch.torch_steps in another process."""
    done = asked_torch(
        "playground.training.scratch.torch_steps", asked, patience=PATIENCE_SECONDS,
        late="The steps took too long: choose a smaller network, or try again when the server is less busy.")
    if done.returncode == 2:
        raise PlaygroundError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "There are no steps.")
    if done.returncode:
        raise PlaygroundError("PyTorch could not take these steps here.")
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found
