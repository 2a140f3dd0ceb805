"""PyTorch's derivatives of a formula, in a process of its own so that no page waits for torch.

`python -m playground.steps.torch_gradient` reads {"formula": ..., "values": {...}} from its standard input and prints
the derivatives as JSON. The formula goes through the same whitelist as on the page; nothing of it is run as code.
"""

import sys
from collections.abc import Mapping
from typing import Any

import torch

from playground.questions import answered
from playground.steps.expression import fold, parse


def torch_gradients(formula: str, values: Mapping[str, float]) -> dict[str, float]:
    """d(formula)/d(variable) by torch.autograd in float64. Raises PlaygroundError as `parse` does."""
    leaves = {name: torch.tensor(float(value), dtype=torch.float64, requires_grad=True)
              for name, value in values.items()}
    operations: dict[str, Any] = {
        "+": torch.add, "−": torch.sub, "·": torch.mul, "/": torch.div, "^": torch.pow, "neg": torch.neg,
        "relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "exp": torch.exp, "log": torch.log,
        "sqrt": torch.sqrt,
    }
    result = fold(parse(formula), leaves.__getitem__, lambda value: torch.tensor(value, dtype=torch.float64),
                  lambda label, parts: operations[label](*parts))
    if result.requires_grad:
        result.backward()
    return {name: 0.0 if leaf.grad is None else leaf.grad.item() for name, leaf in leaves.items()}


def main() -> int:
    """Read the question, print the answer; 2 when it is no formula."""
    return answered(lambda asked: torch_gradients(str(asked["formula"]), dict(asked["values"])))


if __name__ == "__main__":
    sys.exit(main())
