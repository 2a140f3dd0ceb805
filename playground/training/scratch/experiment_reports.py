"""What experiments look at besides curves: the weights that were learnt, and what a network can do without."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from engine import Tensor, functional, layers, no_grad

MOST = 50
"""How many draws of thinned networks are asked."""


class Trained(Protocol):
    """What a report reads of a contestant."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> layers.Sequential: ...
    @property
    def x_test(self) -> np.ndarray: ...
    @property
    def y_test(self) -> np.ndarray: ...


def spread(contestants: Sequence[Trained]) -> dict[str, Any]:
    """What the contestants' weights look like, what they can do without, and what thinned networks say together.

    `weights`, per contestant: `norm` (root of the sum of squares of all parameters), `inputs` (see `inputs_used`), and
    a histogram of the first layer's weights (`counts` between `edges`, the same for all). `relied`, per contestant: see
    `relied`. For the contestant with dropout `ensemble`: see `thinned`.
    """
    first = {c.name: _dense(c)[0].weight.data.ravel() for c in contestants}
    reach = max(float(np.abs(w).max()) for w in first.values())
    edges = np.linspace(-reach, reach, 42)
    dropped = next(c for c in contestants if any(isinstance(m, layers.Dropout) and m.p > 0 for m in c.model))
    return {
        "edges": edges.tolist(),
        "weights": {
            c.name: {"counts": np.histogram(first[c.name], edges)[0].tolist(),
                     "norm": float(np.sqrt(sum((p.data.astype(np.float64) ** 2).sum() for p in c.model.parameters()))),
                     "inputs": inputs_used(np.concatenate([layer.weight.data for layer in _dense(c)[1:]]))}
            for c in contestants
        },
        "relied": {c.name: relied(c) for c in contestants},
        "ensemble": thinned(dropped),
    }


def _dense(contestant: Trained) -> list[layers.Linear]:
    return [layer for layer in contestant.model if isinstance(layer, layers.Linear)]


def inputs_used(weights: np.ndarray) -> float:
    """How many of its inputs a unit listens to, as a share, on average over units: weights (UNITS, INPUTS).

    The participation ratio of the squared weights, (sum of w²)² / (INPUTS · sum of w⁴): 1 where all are equally large,
    1 / INPUTS where all but one are 0.

    >>> inputs_used(np.array([[1.0, -1.0, 1.0, 1.0], [0.0, 3.0, 0.0, 0.0]]))
    0.625
    """
    squares = weights.astype(np.float64) ** 2
    return float((squares.sum(1) ** 2 / (squares.shape[1] * np.maximum((squares**2).sum(1), 1e-300))).mean())


def relied(contestant: Trained, draws: int = 20) -> dict[str, float]:
    """Accuracy on pictures never seen of the `whole` network, without the hidden unit that it misses most (`worst`),
    and with only half of its hidden units, drawn at random and doubled, on average over `draws` (`half`)."""
    sizes = [layer.weight.shape[1] for layer in _dense(contestant)[1:]]
    rng, everybody = np.random.default_rng(0), [np.ones(size) for size in sizes]
    alone = [[kept * (np.arange(len(kept)) != unit) if place == k else kept for place, kept in enumerate(everybody)]
             for k, size in enumerate(sizes) for unit in range(size)]
    return {"whole": accuracy(contestant), "worst": min(accuracy(contestant, factors) for factors in alone),
            "half": float(np.mean([accuracy(contestant, [2.0 * (rng.random(size) < 0.5) for size in sizes])
                                   for _ in range(draws)]))}


def accuracy(contestant: Trained, factors: Sequence[np.ndarray] = ()) -> float:
    """Of the network in eval mode on pictures never seen, each layer's hidden units times a factor where given."""
    dense = _dense(contestant)[1:]
    before = [layer.weight.data for layer in dense]
    for layer, factor in zip(dense, factors, strict=False):
        layer.weight.data = (layer.weight.data * factor).astype(np.float32)  # the next layer hears so much of them
    with no_grad():
        contestant.model.eval()
        right = contestant.model(Tensor(contestant.x_test)).data.argmax(1) == contestant.y_test
    for layer, weight in zip(dense, before, strict=True):
        layer.weight.data = weight
    return float(right.mean())


def thinned(contestant: Trained) -> dict[str, Any]:
    """Accuracy of single draws, of averages of the first T = 1..MOST of them, and of the eval network.

    In a draw every picture meets a thinned network of its own, as it does while training.
    """
    model, x, y = contestant.model, Tensor(contestant.x_test), contestant.y_test
    alone = accuracy(contestant)
    with no_grad():
        model.train()
        single, averages, total = [], [], np.zeros(())
        for _ in range(MOST):
            answer = functional.softmax(model(x), 1).data
            total = total + answer
            single.append(float((answer.argmax(1) == y).mean()))
            averages.append(float((total.argmax(1) == y).mean()))
        model.eval()
    return {"eval": alone, "single": single, "average": averages}
