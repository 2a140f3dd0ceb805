"""Optimizers with torch.optim's arguments and arithmetic, and gradient clipping. Schedules stand in `lr_scheduler`.

An optimizer changes its parameters' arrays in place, so a graph recorded before a step should not be walked after it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from engine import lr_scheduler
from engine.core import Array, Tensor


class Optimizer:
    """What all optimizers share: groups of parameters with their settings, and what is remembered of each parameter.

    params: Tensors, or mappings {"params": [...], "lr": ...} whose settings differ from the rest, as in torch.
    """

    def __init__(self, params: Iterable[Any], **defaults: Any):
        given: list[Any] = [params] if isinstance(params, Tensor) else list(params)
        if not given:
            raise ValueError("an optimizer needs at least one parameter")
        groups: list[Any] = given if isinstance(given[0], Mapping) else [{"params": given}]
        self.param_groups: list[dict[str, Any]] = []
        for group in groups:
            unknown = set(group) - set(defaults) - {"params"}
            if unknown:
                raise ValueError(f"{type(self).__name__} has no setting {', '.join(sorted(unknown))}")
            own = group["params"]
            self.param_groups.append({**defaults, **group, "params": [own] if isinstance(own, Tensor) else list(own)})
        if any(not isinstance(p, Tensor) for group in self.param_groups for p in group["params"]):
            raise TypeError("an optimizer takes Tensors: model.parameters(), not their arrays")
        every = [id(p) for group in self.param_groups for p in group["params"]]
        if len(set(every)) < len(every):
            raise ValueError("a parameter stands twice in this optimizer, so it would be moved twice: name each once")
        self.state: dict[int, dict[str, Any]] = {}  # by the parameter's place

    @property
    def lr(self) -> float:
        """The learning rate of the first group; setting it sets every group's."""
        return float(self.param_groups[0]["lr"])

    @lr.setter
    def lr(self, value: float) -> None:
        for group in self.param_groups:
            group["lr"] = value

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        place = 0
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p.data, p.grad, self.state.setdefault(place, {}), group)
                place += 1

    def _update(self, p: Array, g: Array, memory: dict[str, Any], group: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def state_dict(self) -> dict[str, Any]:
        """What is needed to go on: every parameter's memory by its place, and the groups' settings."""
        settings = [{k: v for k, v in group.items() if k != "params"} for group in self.param_groups]
        memory = {place: {k: np.copy(v) if isinstance(v, np.ndarray) else v for k, v in kept.items()}
                  for place, kept in self.state.items()}
        return {"state": memory, "param_groups": settings}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        if len(state_dict["param_groups"]) != len(self.param_groups):
            raise ValueError("the state has another number of parameter groups than this optimizer")
        for group, settings in zip(self.param_groups, state_dict["param_groups"], strict=True):
            group.update({k: v for k, v in settings.items() if k != "params"})
        self.state = {int(place): {k: np.copy(v) if isinstance(v, np.ndarray) else v for k, v in kept.items()}
                      for place, kept in state_dict["state"].items()}


def _not_negative(**settings: float) -> None:
    for name, value in settings.items():
        if value < 0:
            raise ValueError(f"{name} cannot be negative: {value}")


@lru_cache(maxsize=64)
def _number(value: float, dtype: np.dtype[Any]) -> Array:
    """A number as an array, not to be changed: of a plain one NumPy makes that anew in half the time it multiplies."""
    return np.array(value, dtype)


class SGD(Optimizer):
    """Stochastic gradient descent: p -= lr * d.

        d = g + weight_decay * p
        with momentum: v = momentum * v + (1 - dampening) * d (the first time v = d), and d = v
        with nesterov: d + momentum * v instead of v

    >>> p = Tensor([1.0], requires_grad=True)
    >>> (p * p).sum().backward()
    >>> SGD([p], lr=0.25).step()
    >>> p.data
    array([0.5], dtype=float32)
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0, dampening: float = 0,
        weight_decay: float = 0, nesterov: bool = False,
    ):
        _not_negative(lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("nesterov needs a momentum and no dampening")
        super().__init__(params, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay,
                         nesterov=nesterov)

    def _update(self, p: Array, g: Array, memory: dict[str, Any], group: Mapping[str, Any]) -> None:
        momentum = group["momentum"]
        d = g + group["weight_decay"] * p if group["weight_decay"] else g
        if momentum:
            v = memory.get("momentum_buffer")
            if v is None:
                v = memory["momentum_buffer"] = np.array(d)
            else:
                v *= momentum
                v += d if not group["dampening"] else (1 - group["dampening"]) * d
            d = d + momentum * v if group["nesterov"] else v
        p -= d * _number(group["lr"], d.dtype)


class Adam(Optimizer):
    """Steps scaled by running averages of the gradient m and of its square v, both corrected for their start at 0.

        m = b1 * m + (1 - b1) * g;  v = b2 * v + (1 - b2) * g²
        p -= lr * (m / (1 - b1**t)) / (sqrt(v / (1 - b2**t)) + eps)

    weight_decay is added to the gradient. Source: Kingma and Ba, 2014.
    """

    decoupled = False

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0,
    ):
        _not_negative(lr=lr, eps=eps, weight_decay=weight_decay)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas are shares from 0 to below 1, not {betas}")
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def _update(self, p: Array, g: Array, memory: dict[str, Any], group: Mapping[str, Any]) -> None:
        (b1, b2), lr, decay = group["betas"], group["lr"], group["weight_decay"]
        if decay and self.decoupled:
            p *= 1 - lr * decay
        elif decay:
            g = g + decay * p
        if not memory:
            memory.update(step=0, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
        memory["step"] += 1
        t, m, v = memory["step"], memory["exp_avg"], memory["exp_avg_sq"]
        m *= b1
        m += (1 - b1) * g
        v *= b2
        v += (1 - b2) * (g * g)
        below = np.sqrt(v)
        below /= math.sqrt(1 - b2**t)
        below += group["eps"]
        np.divide(m, below, out=below)
        below *= lr / (1 - b1**t)
        p -= below


class AdamW(Adam):
    """Adam with the weights shrunk directly, p *= 1 - lr * weight_decay. Source: Loshchilov and Hutter, 2017."""

    decoupled = True

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ):
        super().__init__(params, lr, betas, eps, weight_decay)


class RMSprop(Optimizer):
    """Steps scaled by a running average v of the squared gradient: p -= lr * g / (sqrt(v) + eps).

        v = alpha * v + (1 - alpha) * g²;  centered: minus the square of the running average of g

    Source: Hinton, lecture 6e, 2012, as in torch.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0,
        momentum: float = 0, centered: bool = False,
    ):
        _not_negative(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum)
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum,
                         centered=centered)

    def _update(self, p: Array, g: Array, memory: dict[str, Any], group: Mapping[str, Any]) -> None:
        alpha = group["alpha"]
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p
        if not memory:
            memory["square_avg"] = np.zeros_like(p)
            if group["momentum"]:
                memory["momentum_buffer"] = np.zeros_like(p)
            if group["centered"]:
                memory["grad_avg"] = np.zeros_like(p)
        v = memory["square_avg"]
        v *= alpha
        v += (1 - alpha) * (g * g)
        spread = v
        if group["centered"]:
            mean = memory["grad_avg"]
            mean += (1 - alpha) * (g - mean)
            spread = v - mean * mean
        d = g / (np.sqrt(spread) + group["eps"])
        if group["momentum"]:
            kept = memory["momentum_buffer"]
            kept *= group["momentum"]
            kept += d
            d = kept
        p -= group["lr"] * d


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0) -> float:
    """Scale all gradients together so that their joint norm is at most max_norm; returns what it was.

    norm_type is the exponent, math.inf for the largest absolute value.

    >>> p = Tensor([0.0, 0.0], requires_grad=True)
    >>> p.grad = np.array([3.0, 4.0])
    >>> clip_grad_norm_([p], 1.0), p.grad.round(3)
    (5.0, array([0.6, 0.8]))
    """
    tensors = [p for p in _listed(parameters) if p.grad is not None]
    norms = [float(np.linalg.norm(np.ravel(p.grad), norm_type)) for p in tensors if p.grad is not None]
    total = float(np.linalg.norm(norms, norm_type)) if norms else 0.0
    factor = max_norm / (total + 1e-6)
    if factor < 1:
        for p in tensors:
            assert p.grad is not None
            p.grad = p.grad * factor
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Bring every number of every gradient into ±clip_value."""
    for p in _listed(parameters):
        if p.grad is not None:
            p.grad = np.clip(p.grad, -clip_value, clip_value)


def _listed(parameters: Tensor | Iterable[Tensor]) -> Sequence[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


__all__ = [
    "SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "clip_grad_norm_", "clip_grad_value_", "lr_scheduler",
]
