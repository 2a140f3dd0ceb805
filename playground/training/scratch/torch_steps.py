"""The first steps of a training taken by our engine and by PyTorch: same design, weights, pictures and order.

`python -m playground.training.scratch.torch_steps` reads {"request": ..., "seed": ..., "steps": ...} from its standard
input and prints {"engine": losses, "torch": losses}: a process of its own, so that no page waits for torch. torch is
imported once the question is known to have an answer: what is wrong with it is said without waiting for torch.
"""

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from playground.datasets import named
from playground.errors import PlaygroundError
from playground.network.build import build_torch
from playground.network.parts import Network, Part
from playground.network.spelling import spelled
from playground.questions import answered
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit
from playground.training.scratch.losses import scoring
from playground.training.scratch.settings import MOMENTUM, OURS, rates

MOST = 200
DRAWS = ("dropout", "dropout2d")
OPTIMIZERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "sgd": ("SGD", {}), "momentum": ("SGD", {"momentum": MOMENTUM}),
    "nesterov": ("SGD", {"momentum": MOMENTUM, "nesterov": True}),
    "adam": ("Adam", {}), "adamw": ("AdamW", {}), "rmsprop": ("RMSprop", {}),
}
"""What torch.optim calls each of our optimizers, and with which options."""


def both(request: Mapping[str, Any], seed: int, steps: int) -> dict[str, list[float]]:
    """The loss of each of the first steps, by our engine and by PyTorch, from the same first weights.

    What draws random numbers while it trains is left out of both: dropout and augmentation, whose generators differ.
    Raises PlaygroundError as the trainer does, and where there are no steps from 1 to 200.
    """
    if not 1 <= steps <= MOST:
        raise PlaygroundError(f"From 1 to {MOST} steps are taken in both, not {steps}.")
    train, _ = named.load(request["data"])
    asked_for = numpy_fit.designed(request, train)
    network = Network(without_draws(asked_for.parts))
    asked = {**{name: value for name, value in request.items() if name != "augment"}, "network": spelled(network),
             "engine": OURS}
    ours = numpy_fit.begun(RunSpec("digits", asked, seed, "both"))
    import torch

    from playground.training.scratch.torch_gradients import loss_of

    takes = ours.x.shape[1:]
    theirs = build_torch(scoring(network, takes), takes)
    theirs.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in ours.model.state_dict().items()})
    settings = ours.settings
    called, options = OPTIMIZERS[settings.optimizer]
    optimizer = getattr(torch.optim, called)(theirs.parameters(), lr=settings.learning_rate,
                                             weight_decay=settings.weight_decay, **options)
    at = rates(settings, settings.epochs * ours.batches)
    losses: dict[str, list[float]] = {"engine": [], "torch": []}
    ours.model.train()
    theirs.train()
    while len(losses["engine"]) < min(steps, len(at)):
        for chosen in ours.order():
            step = len(losses["engine"])
            if step >= min(steps, len(at)):
                break
            optimizer.param_groups[0]["lr"] = float(at[step])
            loss = loss_of(theirs(torch.from_numpy(ours.x[chosen])), torch.from_numpy(ours.y[chosen]),
                           settings.label_smoothing, settings.loss)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if settings.clip_norm:
                torch.nn.utils.clip_grad_norm_(theirs.parameters(), settings.clip_norm)
            optimizer.step()
            losses["torch"].append(loss.item())
            losses["engine"].append(ours.step(chosen).loss)
    return losses


def without_draws(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts without those that draw while they train.

    >>> from playground.network.spelling import network_of, spelled
    >>> spelled(Network(without_draws(network_of("c8-o0.5-[c8-oc0.2]-g-d10").parts)))
    'c8-[c8]-g-d10'
    """
    return tuple(replace(one, branches=tuple(map(without_draws, one.branches))) for one in parts
                 if one.kind not in DRAWS)


def main() -> int:
    """Read the question, print the losses; 2 and a sentence when there are none."""
    return answered(lambda asked: both(dict(asked["request"]), int(asked["seed"]), int(asked["steps"])))


if __name__ == "__main__":
    sys.exit(main())
