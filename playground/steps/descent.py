"""Gradient descent on a loss of two parameters, one step a record, so that its path can be drawn."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine import Tensor
from engine.optim import SGD


@dataclass(frozen=True)
class DescentStep:
    """One place on the way down: the two parameters, the loss there, and its slope."""

    step: int
    parameters: tuple[float, float]
    loss: float
    gradient: tuple[float, float]


@dataclass(frozen=True)
class Bowl:
    """The mean squared error of a linear model with two parameters: a quadratic bowl.

    design (n, 2), target (n,):   loss(p) = 1/n * sum of (design @ p - target)²

    >>> bowl = Bowl(np.array([[1.0, 0.0], [0.0, 3.0]]), np.array([2.0, 3.0]))
    >>> bowl.lowest.round(9).tolist(), round(bowl.condition, 6)
    ([2.0, 1.0], 9.0)
    """

    design: np.ndarray
    target: np.ndarray

    def loss(self, parameters: np.ndarray) -> np.ndarray:
        """The loss at one place (2,) or at many (..., 2)."""
        squares: np.ndarray = (parameters @ self.design.T - self.target) ** 2
        return np.asarray(squares.mean(axis=-1))

    def above(self, parameters: np.ndarray) -> np.ndarray:
        """The loss above its lowest at one place (2,) or at many (..., 2), without asking the data at each.

        The bowl is quadratic and flat at its lowest place p*, so loss(p) - loss(p*) = (p - p*)ᵀ DᵀD/n (p - p*) for the
        design D; nothing is subtracted that is nearly equal, so it is exact close to p*, too.

        >>> bowl = Bowl(np.array([[1.0, 0.0], [0.0, 3.0]]), np.array([2.0, 4.0]))
        >>> place = np.array([3.0, 1.0])
        >>> round(float(bowl.above(place)), 9), round(float(bowl.loss(place) - bowl.loss(bowl.lowest)), 9)
        (1.0, 1.0)
        """
        away = parameters - self.lowest
        half: np.ndarray = away @ (self.design.T @ self.design / len(self.design))
        return np.asarray((half * away).sum(axis=-1))

    @property
    def lowest(self) -> np.ndarray:
        """The parameters of the smallest loss (least squares)."""
        return np.asarray(np.linalg.lstsq(self.design, self.target, rcond=None)[0])

    @property
    def curvatures(self) -> tuple[float, float]:
        """How steep the bowl is along its flattest and its steepest direction: the Hessian's eigenvalues."""
        low, high = np.linalg.eigvalsh(2.0 / len(self.design) * self.design.T @ self.design)
        return max(float(low), 0.0), float(high)

    @property
    def condition(self) -> float:
        """The condition number, steepest over flattest curvature: 1 is a round bowl, 10,000 a long narrow valley."""
        low, high = self.curvatures
        return high / low if low > 0 else float("inf")

    @property
    def best_learning_rate(self) -> float:
        """The fixed step size with which gradient descent gets down fastest: 2 / (flattest + steepest curvature).

        Each step then shrinks the distance by (condition - 1) / (condition + 1) at worst (Nesterov, Introductory
        Lectures on Convex Optimization, theorem 2.1.15); twice 1 / steepest is where it stops getting down at all.
        """
        return 2.0 / sum(self.curvatures)


def descent_steps(bowl: Bowl, start: tuple[float, float], learning_rate: float, steps: int) -> Iterator[DescentStep]:
    """`steps` steps of gradient descent from `start`, computed by the engine: forward, backward, one SGD step.

    Yields steps + 1 records, the start included; it ends early when the numbers leave what a float can hold.

    >>> bowl = Bowl(np.eye(2), np.array([1.0, 0.0]))
    >>> [s.parameters for s in descent_steps(bowl, (0.0, 0.0), bowl.best_learning_rate, 1)]
    [(0.0, 0.0), (1.0, 0.0)]
    """
    parameters = Tensor(np.array(start, dtype=np.float64), requires_grad=True)
    optimizer = SGD([parameters], lr=learning_rate)
    design, target = Tensor(bowl.design), Tensor(bowl.target)
    for step in range(steps + 1):
        optimizer.zero_grad()
        loss = ((design @ parameters - target) ** 2.0).mean()
        loss.backward()
        gradient = parameters.grad
        if gradient is None or not np.isfinite(loss.data) or not np.isfinite(gradient).all():
            return
        yield DescentStep(step, _pair(parameters.data), loss.item(), _pair(gradient))
        optimizer.step()


def _pair(numbers: np.ndarray) -> tuple[float, float]:
    first, second = numbers.tolist()
    return first, second
