"""Our engine and PyTorch take the same steps from the same weights, whatever the settings."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from playground.errors import PlaygroundError
from playground.training.scratch.torch_steps import both
from tests.waiting import HOPE_SECONDS

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"data": "digits", "network": "c8n-b-r-p2-o0.5-[c8-r]-g-d10", "epochs": 1, "batch_size": 64}


@pytest.mark.parametrize("settings", [
    {}, {"optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 0.01}, {"optimizer": "momentum", "schedule": "step"},
    {"optimizer": "nesterov", "clip_norm": 0.5}, {"optimizer": "adamw", "weight_decay": 0.05, "schedule": "warmup"},
    {"optimizer": "rmsprop", "schedule": "linear"}, {"label_smoothing": 0.2, "init": "xavier", "weights_gain": 0.5},
    {"augment": {"mirror": 0.5}},
], ids=str)
def test_the_losses_of_the_first_steps_lie_on_each_other(settings: dict[str, object]) -> None:
    losses = both({**SMALL, **settings}, 3, 12)
    assert len(losses["engine"]) == len(losses["torch"]) == 12
    assert losses["engine"][0] != losses["engine"][-1]
    np.testing.assert_allclose(losses["engine"], losses["torch"], rtol=0, atol=2e-4)
    np.testing.assert_allclose(losses["engine"][:1], losses["torch"][:1], rtol=0, atol=2e-6)


@pytest.mark.parametrize("steps", [0, -1, 201])
def test_steps_that_are_none_are_a_sentence(steps: int) -> None:
    with pytest.raises(PlaygroundError, match="steps are taken"):
        both(SMALL, 0, steps)


@pytest.mark.slow
def test_a_process_of_its_own_answers_or_says_why_not() -> None:
    def asked(question: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "playground.training.scratch.torch_steps"], cwd=ROOT, text=True,
                              input=json.dumps(question), capture_output=True, timeout=HOPE_SECONDS, check=False)

    right = asked({"request": SMALL, "seed": 0, "steps": 2})
    assert right.returncode == 0, right.stderr
    assert len(json.loads(right.stdout)["torch"]) == 2
    wrong = asked({"request": {**SMALL, "network": "c8-p64-g-d10"}, "seed": 0, "steps": 2})
    assert wrong.returncode == 2
    assert "nothing would be left" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    assert asked([]).returncode == 2
