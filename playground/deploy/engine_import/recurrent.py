"""Recurrent layers, computed one step of the sequence after the other: x (L, N, I) -> y (L, directions, N, H)."""

from collections.abc import Callable, Sequence

import numpy as np

from engine import Tensor
from engine import functional as F
from playground.deploy.engine_import.operators import operator, refuse, whole

Activation = Callable[[Tensor], Tensor]
Step = Callable[[Tensor, list[Tensor]], list[Tensor]]
"""What one step makes of the input's part (N, gates * H) and the states (N, H) before it; the first state is given out.
"""

_ACTIVATIONS: dict[str, Activation] = {
    "sigmoid": F.sigmoid, "tanh": F.tanh, "relu": F.relu, "softsign": lambda x: x / (F.abs(x) + 1.0),
}
_DIRECTIONS = ("forward", "reverse", "bidirectional")


def _directions(direction: str, activations: Sequence[str] | None, usual: Sequence[str]
                ) -> list[tuple[bool, list[Activation]]]:
    """Of each direction whether it goes backward, and its activations."""
    if direction not in _DIRECTIONS:
        raise refuse(f"its recurrent layer goes {direction}")
    ways = [False, True] if direction == "bidirectional" else [direction == "reverse"]
    named = [name.lower() for name in activations or list(usual) * len(ways)]
    if unknown := [name for name in named if name not in _ACTIVATIONS]:
        raise refuse(f"its recurrent layer has the activation {unknown[0]}")
    many = len(usual)
    return [(back, [_ACTIVATIONS[name] for name in named[many * k:many * (k + 1)]]) for k, back in enumerate(ways)]


def _run(x: Tensor, w: Tensor, bias: Tensor | None, lengths: Tensor | None, states: Sequence[Tensor | None],
         hidden: int, layout: int, ways: Sequence[tuple[bool, list[Activation]]],
         step_of: Callable[[int, list[Activation]], Step]) -> tuple[Tensor, ...]:
    """Both ways along the sequence. w (directions, gates * H, I), bias (directions, gates * H); gives y and the last
    states (directions, N, H)."""
    if layout:
        x = x.permute(1, 0, 2)
        states = [None if one is None else one.permute(1, 0, 2) for one in states]
    length, batch = x.shape[:2]
    if lengths is not None and any(one != length for one in whole(lengths)):
        raise refuse("its sequences have different lengths")
    outs, lasts = [], []
    for k, (back, activations) in enumerate(ways):
        step = step_of(k, activations)
        gates = F.linear(x, w[k], None if bias is None else bias[k])  # all steps at once, (L, N, gates * H)
        now = [Tensor(np.zeros((batch, hidden), x.dtype)) if one is None else one[k] for one in states]
        made: list[Tensor] = []
        for t in range(length - 1, -1, -1) if back else range(length):
            now = step(gates[t], now)
            made.append(now[0])
        outs.append(F.concat([one.unsqueeze(0) for one in (reversed(made) if back else made)], 0))
        lasts.append(now)
    y = F.concat([one.unsqueeze(1) for one in outs], 1)
    ends = [F.concat([last[j].unsqueeze(0) for last in lasts], 0) for j in range(len(states))]
    if layout:
        return (y.permute(2, 0, 1, 3), *(one.permute(1, 0, 2) for one in ends))
    return (y, *ends)


def _halves(b: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """The biases of the input's and of the state's product."""
    if b is None:
        return None, None
    half = b.shape[1] // 2
    return b[:, :half], b[:, half:]


def _parts(x: Tensor, hidden: int) -> list[Tensor]:
    return [x[:, k:k + hidden] for k in range(0, x.shape[1], hidden)]


def _clipped(activation: Activation, clip: float | None) -> Activation:
    return activation if clip is None else lambda x: activation(F.clip(x, -clip, clip))


@operator("LSTM", since=7)
def lstm(x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, sequence_lens: Tensor | None = None,
         initial_h: Tensor | None = None, initial_c: Tensor | None = None, p: Tensor | None = None, *,
         activations: Sequence[str] | None = None, clip: float | None = None, direction: str = "forward",
         hidden_size: int | None = None, input_forget: int = 0, layout: int = 0, outputs: int = 1
         ) -> tuple[Tensor, ...]:
    """Gates in the order input, output, forget, cell; p are the peepholes of input, output and forget gate."""
    hidden = hidden_size or r.shape[2]
    of_input, of_state = _halves(b)

    def step_of(k: int, chosen: list[Activation]) -> Step:
        gate, cell, out = (_clipped(one, clip) for one in chosen[:2] + chosen[2:])
        peep = [p[k][j * hidden:(j + 1) * hidden] for j in range(3)] if p is not None else None

        def step(gates: Tensor, states: list[Tensor]) -> list[Tensor]:
            h, c = states
            i, o, f, g = _parts(gates + F.linear(h, r[k], None if of_state is None else of_state[k]), hidden)
            if peep is not None:
                i, f = i + peep[0] * c, f + peep[2] * c
            i = gate(i)
            f = 1.0 - i if input_forget else gate(f)
            c = f * c + i * cell(g)
            o = gate(o if peep is None else o + peep[1] * c)
            return [o * out(c), c]

        return step

    ways = _directions(direction, activations, ("sigmoid", "tanh", "tanh"))
    return _run(x, w, of_input, sequence_lens, (initial_h, initial_c), hidden, layout, ways, step_of)[:outputs]


@operator("GRU", since=7)
def gru(x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, sequence_lens: Tensor | None = None,
        initial_h: Tensor | None = None, *, activations: Sequence[str] | None = None, clip: float | None = None,
        direction: str = "forward", hidden_size: int | None = None, layout: int = 0, linear_before_reset: int = 0,
        outputs: int = 1) -> tuple[Tensor, ...]:
    """Gates in the order update, reset, hidden; with linear_before_reset the reset gate meets the product, as in torch.
    """
    hidden = hidden_size or r.shape[2]
    of_input, of_state = _halves(b)

    def step_of(k: int, chosen: list[Activation]) -> Step:
        gate, new = (_clipped(one, clip) for one in chosen)
        weights, bias = r[k], None if of_state is None else of_state[k]
        both, last = weights[:2 * hidden], weights[2 * hidden:]
        both_bias, last_bias = (None, None) if bias is None else (bias[:2 * hidden], bias[2 * hidden:])

        def step(gates: Tensor, states: list[Tensor]) -> list[Tensor]:
            (h,) = states
            update, reset = _parts(gate(gates[:, :2 * hidden] + F.linear(h, both, both_bias)), hidden)
            moved = reset * F.linear(h, last, last_bias) if linear_before_reset \
                else F.linear(reset * h, last, last_bias)
            n = new(gates[:, 2 * hidden:] + moved)
            return [(1.0 - update) * n + update * h]

        return step

    ways = _directions(direction, activations, ("sigmoid", "tanh"))
    return _run(x, w, of_input, sequence_lens, (initial_h,), hidden, layout, ways, step_of)[:outputs]


@operator("RNN", since=7)
def rnn(x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, sequence_lens: Tensor | None = None,
        initial_h: Tensor | None = None, *, activations: Sequence[str] | None = None, clip: float | None = None,
        direction: str = "forward", hidden_size: int | None = None, layout: int = 0, outputs: int = 1
        ) -> tuple[Tensor, ...]:
    of_input, of_state = _halves(b)

    def step_of(k: int, chosen: list[Activation]) -> Step:
        (activation,) = (_clipped(one, clip) for one in chosen)
        bias = None if of_state is None else of_state[k]
        return lambda gates, states: [activation(gates + F.linear(states[0], r[k], bias))]

    ways = _directions(direction, activations, ("tanh",))
    return _run(x, w, of_input, sequence_lens, (initial_h,), hidden_size or r.shape[2], layout, ways, step_of)[:outputs]
