"""A small reverse-mode autograd engine in NumPy: tensors, ops with their way back, layers, optimizers.

>>> from engine import Tensor, functional as F
>>> x = Tensor([[-1.0, 2.0]], requires_grad=True)
>>> F.relu(x).sum().backward()
>>> x.grad
array([[0., 1.]], dtype=float32)
"""

from engine import functional, layers, optim
from engine import ops as ops  # registers every op
from engine.core import OPS, BackwardStep, Op, RefusedArgument, ShapeError, Tensor, backward_steps, no_grad

__all__ = [
    "OPS", "BackwardStep", "Op", "RefusedArgument", "ShapeError", "Tensor", "backward_steps", "functional", "layers",
    "no_grad", "optim",
]
