"""Edit a weight or paint a kernel: what the maps, the answer and the accuracy make of it, and back again."""

from collections.abc import Mapping

import numpy as np
import streamlit as st

from playground.errors import PlaygroundError
from playground.figures import bars, style
from playground.figures.maps import enlarged
from playground.numbers import counted, number
from playground.ui import frame, links
from playground.ui.network.asks.asked import SIDE, Asked, accuracies, key_of, literal, named, question, tile
from playground.ui.parts import kernel_editor, lesson
from playground.view.asks.edits import Edit, Edits, Index, effect, plane, run_edited
from playground.view.asks.measured import Effect
from playground.view.sources import Design, File
from playground.view.trace import Array, Trace

LARGEST = 7
"""Numbers a side of a kernel that is painted in; of a larger one only the chosen weight is edited."""
SOBEL = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
CHANGED = "ask-edits-changed"
"""In the session, that edits are new to whoever draws the network elsewhere on the page."""
STROKES = ("Zero", "Times −1", "Times 2", "Mirror", "Mean", "Edges")


@st.fragment
@frame.guarded("Edit a weight")
def edit(asked: Asked) -> None:
    """The kernel of the chosen weight to paint in, and the network before and after."""
    if st.session_state.pop(CHANGED, False):
        st.rerun()  # the whole page: the network above is drawn with what was edited
    with question("Edit a weight, or paint a kernel", "ask-edit", ":material/brush:") as is_open:
        if is_open:
            _edit(asked)


def _edit(asked: Asked) -> None:
    found = weight_of(asked)
    if found is None:
        return
    name, index = found
    done = edits(asked.key)
    weights = done.weights(asked.source)
    now = weights.get(name, asked.source.weights()[name].data)
    left, right = st.columns([2, 3], gap="large")
    with left:
        painted(asked, name, index, now, done)
    with right:
        answers(asked, done)
    if not done.done:
        st.caption("Nothing is edited yet: type a number, or press one of the buttons. The network itself stays as it "
                   "is; only this page sees the edits.")
        return
    maps(asked, done)
    labelled = asked.labelled()
    if labelled is not None:
        x, y, _ = labelled
        accuracies(measured(asked.key, key_of(asked.data), done, asked.source, x, y), "after")


def edits(key: int) -> Edits:
    """What was done to a network in this session."""
    found = st.session_state.get(f"ask-edits-{key}")
    return found if isinstance(found, Edits) else Edits()


def weight_of(asked: Asked) -> tuple[str, Index] | None:
    """The weight that is chosen, else the first of the chosen map; None, with a sentence, where there is none."""
    own = asked.source.weights()
    if asked.chosen.weight is not None and asked.chosen.weight[0] in own:
        name, index = asked.chosen.weight
        shape = own[name].shape
        if len(index) == len(shape) and all(0 <= i < n for i, n in zip(index, shape, strict=True)):
            return name, index
    part = asked.part
    if part is None:
        st.info("Choose a weight above, or a map of a layer that has weights.")
        return None
    if not part.weights:
        st.info(f"This part, {literal(part.title)}, has no weights: choose a map of a convolution or a dense layer "
                "above.")
        return None
    name = next(iter(part.weights))
    shape = own[name].shape
    first = min(asked.map, shape[0] - 1)
    inputs = 0
    if len(shape) > 1 and shape[1] > 1:
        inputs = int(st.number_input("Input map" if len(shape) == 4 else "Input", 0, shape[1] - 1, 0,
                                     key=f"ask-edit-input-{part.index}-{shape[1]}",
                                     help="Each filter has a kernel for every input."))
    return name, (first, *((inputs,) if len(shape) > 1 else ()), *(0 for _ in shape[2:]))


def painted(asked: Asked, name: str, index: Index, now: Array, done: Edits) -> None:
    """The kernel as fields to type into, strokes over all of it, and the way back."""
    kernel, where = plane(now, index)
    square = kernel.shape[0] == kernel.shape[1] <= LARGEST
    if not square:
        kernel, where = np.array([[now[index]]]), {(0, 0): index}
    at = named(index[:2]) if len(where) > 1 else named(index)
    what = "a kernel" if len(where) > 1 else "a weight"
    st.markdown(f"**{literal(name)}{literal(at)}**, {what} as it is now")
    texts = [f"{value:.4f}".rstrip("0").rstrip(".") or "0" for value in kernel.ravel()]
    key = f"ask-fields-{asked.key}-{name}-{at}"
    kernel_editor.fields([text.replace("-", "−") for text in texts], style.signed_limit(kernel), key=key,
                         on_edited=lambda text: take(asked.key, text, name, texts, where))
    for start in range(0, len(STROKES), 3):
        with st.container(horizontal=True):
            for stroke in STROKES[start:start + 3]:
                if stroke == "Edges" and kernel.shape != (3, 3):
                    continue
                st.button(stroke, key=f"ask-stroke-{stroke}", on_click=put, disabled=links.locked(),
                          args=(asked.key, Edit(f"{stroke.lower()}: {name}{at}", changes(stroke, kernel, name, where))))
    with st.container(horizontal=True):
        st.button("Undo", icon=":material/undo:", key="ask-undo", on_click=keep, args=(asked.key, done.undone()),
                  disabled=not done.done or links.locked())
        st.button("Redo", icon=":material/redo:", key="ask-redo", on_click=keep, args=(asked.key, done.redone()),
                  disabled=not done.taken_back or links.locked())
        st.button("As trained", icon=":material/restart_alt:", key="ask-reset", on_click=keep,
                  args=(asked.key, Edits()), disabled=not done.done or links.locked())
    if done.done:
        st.caption(f"{counted(len(done.done), 'edit')}, the last: {literal(done.done[-1].words)}. Undone, every weight "
                   "has the bits that it had.")


def changes(stroke: str, kernel: Array, name: str, where: Mapping[tuple[int, int], Index]
            ) -> tuple[tuple[str, Index, float], ...]:
    """What a stroke makes of each weight of a kernel.

    >>> changes("Mirror", np.array([[1.0, 2.0]]), "w", {(0, 0): (0, 0), (0, 1): (0, 1)})
    (('w', (0, 0), 2.0), ('w', (0, 1), 1.0))
    """
    size = float(np.abs(kernel).max()) or 1.0
    made = {"Zero": np.zeros_like(kernel), "Times −1": -kernel, "Times 2": 2 * kernel, "Mirror": kernel[:, ::-1],
            "Mean": np.full(kernel.shape, kernel.mean()),
            "Edges": SOBEL / 2 * size if kernel.shape == SOBEL.shape else kernel}[stroke]
    return tuple((name, index, float(made[at])) for at, index in where.items())


def keep(key: int, done: Edits) -> None:
    """In a callback, what the session's edits are from now on."""
    st.session_state[f"ask-edits-{key}"] = done
    st.session_state[CHANGED] = True


def put(key: int, one: Edit) -> None:
    """In a callback, one edit more."""
    keep(key, edits(key).after(one))


def take(key: int, said: str, name: str, texts: list[str], where: Mapping[tuple[int, int], Index]) -> None:
    """In a callback, the fields of a kernel that say something else than before. A browser may send anything."""
    if links.locked():
        return
    words = [word for row in said.split(";") for word in row.split()]
    if len(words) != len(where):
        return
    new = []
    for (_, index), before, word in zip(where.items(), texts, words, strict=True):
        if word.replace("−", "-") != before:
            try:
                above, _, below = word.replace("−", "-").partition("/")
                new.append((name, index, float(above) / float(below or 1)))
            except (ValueError, ZeroDivisionError):
                return
    if new:
        put(key, Edit(f"{name}{named(new[0][1])} = {number(new[0][2])}" if len(new) == 1 else f"{name}, painted",
                      tuple(new)))


@st.cache_resource(max_entries=8, show_spinner=False)
def edited(key: int, done: Edits, pixels: np.ndarray, _source: Design | File) -> tuple[Trace, Array]:
    """The edited network's run on the picture."""
    return run_edited(_source, done, _source.preprocessing.apply(pixels)[None])


@st.cache_resource(max_entries=8, show_spinner=False)
def measured(key: int, data: int, done: Edits, _source: Design | File, _x: Array, _y: np.ndarray) -> Effect:
    """What the edits make of labelled pictures."""
    return effect(_source, done, _x, _y)


def answers(asked: Asked, done: Edits) -> None:
    """The network's answer to the picture before and after."""
    labels = asked.source.labels
    before = probabilities(asked.trace.logits.data[0])
    series = {"before": (100 * before).tolist()}
    if done.done:
        _, scores = edited(asked.key, done, asked.picture.pixels, asked.source)
        if not np.isfinite(scores).all():
            raise PlaygroundError("With these weights the scores are no longer numbers: undo the last edit.")
        series["after"] = (100 * probabilities(scores[0])).tolist()
    order = sorted(range(len(labels)), key=lambda k: -max(own[k] for own in series.values()))[:10]
    shown = sorted(order) if len(labels) <= 10 else order
    st.plotly_chart(bars.beside_bars([bars.shortened(labels[k], 14) for k in shown],
                                     {name: [own[k] for k in shown] for name, own in series.items()},
                                     titles=("class", "probability (%)")),
                    config=style.CONFIG, key="ask-edit-answers", alt="The network's answer before and after the edits")


def probabilities(scores: Array) -> Array:
    """Softmax of scores (K,); of one score for two classes its sigmoid, (2,)."""
    wide = scores.astype(np.float64)
    if len(wide) == 1:
        wide = np.array([0.0, wide[0]])
    raised = np.exp(wide - wide.max())
    return np.asarray(raised / raised.sum())


def maps(asked: Asked, done: Edits) -> None:
    """The chosen map before and after, and what differs; where no map is chosen, that of the part edited last."""
    trace, _ = edited(asked.key, done, asked.picture.pixels, asked.source)
    name, index, _ = done.done[-1].values[0]
    edited_part = next((part for part in trace.parts if name in part.weights), None)
    part = asked.part or edited_part
    if part is None:
        return
    one = asked.map if asked.part is not None else min(index[0], part.shape[0] - 1)
    before, after = (np.asarray(run.parts[part.index].output.data[0, one], np.float64) for run in (asked.trace, trace))
    kind = f"map {one}" if before.ndim == 2 else f"number {one}"
    if before.ndim != 2:
        st.markdown(f"{literal(part.title)}, {kind}: {number(float(before))} before, **{number(float(after))}** after.")
        return
    limit = style.signed_limit(np.nan_to_num(before), np.nan_to_num(after))
    lesson.gallery([enlarged(asked.source.preprocessing.pictured(asked.trace.picture.data[0]), SIDE),
                    *(tile(each, limit) for each in (before, after, after - before))],
                   ["the picture", f"{kind} before", f"{kind} after", "after − before"],
                   ["The picture as the network sees it", "The map before", "The map after", "What differs"],
                   width=SIDE)
    st.caption(f"{literal(part.title[:1].upper() + part.title[1:])}, full colour from ±{number(limit, 3)} on. It "
               f"differs by at most {number(float(np.abs(after - before).max()), 3)}.")
