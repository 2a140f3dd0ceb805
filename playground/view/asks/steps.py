"""One step of an optimizer on one weight, as a sum of what each rule adds to it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.optim import SGD, Adam, Optimizer, RMSprop

BATCH, EARLIER, DECAY = "this batch", "earlier steps", "weight decay"


@dataclass(frozen=True)
class Term:
    """What one rule adds to a step: its name, its formula (LaTeX), and how much it is."""

    name: str
    formula: str
    value: float


@dataclass(frozen=True)
class Terms:
    """A step taken apart: `terms` add up to it. `factor` is what the clipped gradient of the batch is multiplied by in
    it; `numbers` are the quantities of the formulas, by their symbols (LaTeX)."""

    terms: tuple[Term, ...]
    factor: float
    numbers: tuple[tuple[str, float], ...]

    @property
    def step(self) -> float:
        return math.fsum(term.value for term in self.terms)


def terms_of(optimizer: Optimizer, settings: Mapping[str, Any], memory: Mapping[str, float], weight: float,
             gradient: float) -> Terms:
    """The step of one weight with the gradient that the optimizer is given, which is clipped already.

    settings: of the weight's group; memory: what the optimizer remembers of this weight before the step, empty at the
    first. Where the gradient enters twice, in a running average of its square that everything is divided by, what is
    divided by counts as given: the step is then a sum. Raises ValueError for an optimizer that is not one of ours.

    >>> terms = terms_of(SGD.__new__(SGD), {"lr": 0.1, "momentum": 0.9, "dampening": 0, "weight_decay": 0.5,
    ...                                     "nesterov": False}, {"momentum_buffer": 1.0}, 2.0, 3.0)
    >>> [(term.name, round(term.value, 3)) for term in terms.terms]
    [('this batch', -0.3), ('earlier steps', -0.09), ('weight decay', -0.1)]
    """
    if isinstance(optimizer, SGD):
        return _sgd(settings, memory, weight, gradient)
    if isinstance(optimizer, Adam):
        return _adam(settings, memory, weight, gradient, optimizer.decoupled)
    if isinstance(optimizer, RMSprop):
        return _rmsprop(settings, memory, weight, gradient)
    raise ValueError(f"{type(optimizer).__name__} is no optimizer whose step can be taken apart")


def _sgd(settings: Mapping[str, Any], memory: Mapping[str, float], weight: float, gradient: float) -> Terms:
    lr, decay, momentum = settings["lr"], settings["weight_decay"], settings["momentum"]
    before = memory.get("momentum_buffer")
    fresh = 1.0 if before is None or not momentum else 1.0 - settings["dampening"]
    earlier, words, last = 0.0, r"\eta", ""
    if momentum:
        old = before or 0.0
        if settings["nesterov"]:
            fresh, earlier, words, last = 1 + momentum * fresh, momentum**2 * old, r"\eta\,(1+\mu)", r"\mu^2\,v"
        else:
            earlier, last = momentum * old, r"\mu\,v"
    terms = [Term(BATCH, rf"-{words}\,g", -lr * fresh * gradient)]
    numbers = [(r"\eta", lr), ("g", gradient)]
    if momentum:
        terms.append(Term(EARLIER, rf"-\eta\,{last}", -lr * earlier))
        numbers += [(r"\mu", momentum), ("v", before or 0.0)]
    if decay:
        terms.append(Term(DECAY, rf"-{words}\,\lambda\,w", -lr * fresh * decay * weight))
        numbers += [(r"\lambda", decay), ("w", weight)]
    return Terms(tuple(terms), -lr * fresh, tuple(numbers))


def _adam(settings: Mapping[str, Any], memory: Mapping[str, float], weight: float, gradient: float,
          decoupled: bool) -> Terms:
    (b1, b2), lr, decay, eps = settings["betas"], settings["lr"], settings["weight_decay"], settings["eps"]
    t, m, v = int(memory.get("step", 0)) + 1, memory.get("exp_avg", 0.0), memory.get("exp_avg_sq", 0.0)
    pulled = gradient if decoupled else gradient + decay * weight
    v_now = b2 * v + (1 - b2) * pulled**2
    m_hat = (b1 * m + (1 - b1) * pulled) / (1 - b1**t)
    v_hat = v_now / (1 - b2**t)
    each = -lr / (1 - b1**t) / (math.sqrt(v_hat) + eps)
    share = r"-\frac{\eta}{(1-\beta_1^t)(\sqrt{\hat v}+\epsilon)}"
    terms = [Term(BATCH, rf"{share}\,(1-\beta_1)\,g", each * (1 - b1) * gradient),
             Term(EARLIER, rf"{share}\,\beta_1\,m", each * b1 * m)]
    numbers = [(r"\eta", lr), ("g", gradient), (r"\beta_1", b1), (r"\beta_2", b2), ("t", float(t)), ("m", m), ("v", v),
               (r"\hat m", m_hat), (r"\hat v", v_hat), (r"\epsilon", eps)]
    if decay:
        terms.append(Term(DECAY, r"-\eta\,\lambda\,w", -lr * decay * weight) if decoupled else
                     Term(DECAY, rf"{share}\,(1-\beta_1)\,\lambda\,w", each * (1 - b1) * decay * weight))
        numbers += [(r"\lambda", decay), ("w", weight)]
    return Terms(tuple(terms), each * (1 - b1), tuple(numbers))


def _rmsprop(settings: Mapping[str, Any], memory: Mapping[str, float], weight: float, gradient: float) -> Terms:
    lr, alpha, eps, decay = settings["lr"], settings["alpha"], settings["eps"], settings["weight_decay"]
    momentum, v, old = settings["momentum"], memory.get("square_avg", 0.0), memory.get("momentum_buffer", 0.0)
    pulled = gradient + decay * weight
    v_now = alpha * v + (1 - alpha) * pulled**2
    spread = v_now
    if settings["centered"]:
        before = memory.get("grad_avg", 0.0)
        spread -= (before + (1 - alpha) * (pulled - before))**2
    each = -lr / (math.sqrt(spread) + eps)
    share = r"-\frac{\eta}{\sqrt{v'}+\epsilon}"
    terms = [Term(BATCH, rf"{share}\,g", each * gradient)]
    numbers = [(r"\eta", lr), ("g", gradient), (r"\alpha", alpha), ("v", v), ("v'", v_now), (r"\epsilon", eps)]
    if momentum:
        terms.append(Term(EARLIER, r"-\eta\,\mu\,b", -lr * momentum * old))
        numbers += [(r"\mu", momentum), ("b", old)]
    if decay:
        terms.append(Term(DECAY, rf"{share}\,\lambda\,w", each * decay * weight))
        numbers += [(r"\lambda", decay), ("w", weight)]
    return Terms(tuple(terms), each, tuple(numbers))
