"""AdamW, written out: torch.optim's imports torch's compiler at its first step, which takes seconds."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019), torch.optim.AdamW's arithmetic and defaults.

    `groups` are (parameters, factor of the learning rate, whether they decay). Every group is stepped by a few kernels,
    however many layers it has, and nothing is read back from the device.
    """

    fast, slow, eps = 0.9, 0.999, 1e-8

    def __init__(self, groups: Iterable[tuple[list[nn.Parameter], float, bool]], weight_decay: float):
        self.groups = [(parameters, factor, weight_decay if decays else 0.0) for parameters, factor, decays in groups]
        self.parameters = [p for parameters, _, _ in self.groups for p in parameters]
        self.moments = [[torch.zeros_like(p) for p in self.parameters] for _ in range(2)]
        self.taken = 0

    def zero_grad(self) -> None:
        for p in self.parameters:
            p.grad = None

    def gradients(self) -> list[Tensor]:
        """Those the parameters hold, zeros where nothing was learnt from."""
        for p in self.parameters:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        return [p.grad for p in self.parameters if p.grad is not None]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step with the gradients that the parameters hold."""
        self.taken += 1
        start = 0
        for parameters, factor, decay in self.groups:
            m, v = (moments[start:start + len(parameters)] for moments in self.moments)
            start += len(parameters)
            gradients = [p.grad for p in parameters if p.grad is not None]
            if len(gradients) < len(parameters):
                raise RuntimeError("a parameter that is to learn has no gradient")
            learnt: list[Tensor] = list(parameters)
            if decay:
                torch._foreach_mul_(learnt, 1 - rate * factor * decay)
            torch._foreach_lerp_(m, gradients, 1 - self.fast)
            torch._foreach_mul_(v, self.slow)
            torch._foreach_addcmul_(v, gradients, gradients, 1 - self.slow)
            spread = torch._foreach_sqrt(v)
            torch._foreach_div_(spread, math.sqrt(1 - self.slow**self.taken))
            torch._foreach_add_(spread, self.eps)
            torch._foreach_addcdiv_(learnt, m, spread, -rate * factor / (1 - self.fast**self.taken))
