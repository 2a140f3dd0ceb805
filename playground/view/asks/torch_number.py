"""One number of a design and a gradient by PyTorch, in a process of its own so that no page waits for torch.

`python -m playground.view.asks.torch_number` reads what `checks.torch_question` writes from its standard input and
prints {"float32": {"value": ..., "gradient": ...}, "float64": ...}.
"""

import base64
import io
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from playground.network.build import build_torch, placed
from playground.network.parts import Path
from playground.network.spelling import network_of
from playground.questions import answered
from playground.training.scratch.torch_gradients import loss_of
from playground.view.gradients import Target


def answers(asked: Mapping[str, Any], dtype: torch.dtype) -> dict[str, float | None]:
    """The number of a part, None where none was asked, and the gradient of the target by it, by a pixel or by a
    weight."""
    arrays = dict(np.load(io.BytesIO(base64.b64decode(asked["arrays"])), allow_pickle=False))
    picture = torch.from_numpy(arrays.pop("picture")).to(dtype).requires_grad_()
    network = network_of(str(asked["network"]))
    model = build_torch(network, tuple(picture.shape[1:]))
    model.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
    model.to(dtype).eval()
    modules = placed(network, model)
    given: dict[Path, torch.Tensor] = {}

    def keep(path: Path) -> Any:
        def hook(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
            own = output * 1  # what passes on what it got gives the same tensor: its gradient is its own
            own.retain_grad()
            given[path] = own
            return own

        return hook

    target = Target.of(str(asked["target"]))
    path, goal = (tuple(asked[name]) if asked.get(name) is not None else None for name in ("path", "goal"))
    for one in {each for each in (path, goal) if each is not None}:
        module: Any = modules[one]
        module.register_forward_hook(keep(one))
    logits = model(picture)
    value: Any = _value(target, logits, None if goal is None else given[goal], str(asked["loss"]))
    value.backward()
    weight = asked.get("weight")
    if weight is not None:
        name, index = weight
        gradient, at = dict(model.named_parameters())[name].grad, tuple(index)
    else:
        gradient, at = (picture if path is None else given[path]).grad, (0, *asked["place"])
    number = None if path is None else given[path][(0, *asked["place"])].item()
    return {"value": number, "gradient": 0.0 if gradient is None else gradient[at].item()}


def _value(target: Target, logits: torch.Tensor, goal: torch.Tensor | None, loss: str) -> torch.Tensor:
    if target.kind == "number":
        assert goal is not None
        return goal[(0, *target.place)]
    single = logits.shape[1] == 1
    if target.kind == "score":
        score = logits[0, 0 if single else target.label]
        return -score if single and target.label == 0 else score
    return loss_of(logits, torch.tensor([target.label]), loss=loss)


def main() -> int:
    """Read the question, print the answers; 2 and a sentence when there are none."""
    return answered(lambda asked: {"float32": answers(asked, torch.float32), "float64": answers(asked, torch.float64)},
                    IndexError, RuntimeError)


if __name__ == "__main__":
    sys.exit(main())
