"""The loss stepped: from scores to one number, and from that number back to every score."""

from collections.abc import Sequence

import numpy as np

from playground.figures import style
from playground.numbers import number
from playground.steps import loss as rounds
from playground.steps.loss import LossStep, loss_backward_steps, loss_steps
from playground.ui.lessons.loss import Setting
from playground.ui.parts import lesson
from playground.ui.parts.stepper import Grid, Story, Update, stepper

OVER, LESS, RISEN, LOG = ("", " / ", ""), ("", " − ", ""), ("exp(", "", ")"), ("−log(", "", ")")


def heading(setting: Setting) -> None:
    """The chain rule of what the player plays."""
    if setting.backward:
        lesson.equations(r"\frac{\partial L}{\partial p_k} = -\frac{y_k}{p_k}",
                         r"\frac{\partial L}{\partial S} = -\sum_k \frac{\partial L}{\partial p_k} \frac{p_k}{S}",
                         r"\frac{\partial L}{\partial e_k} = \frac{1}{S} \frac{\partial L}{\partial p_k} + "
                         r"\frac{\partial L}{\partial S}",
                         r"\frac{\partial L}{\partial d_k} = \frac{\partial L}{\partial e_k}\, e_k = p_k - y_k")


def steps(setting: Setting) -> None:
    """The player, forward or backward."""
    heading(setting)
    stepper(backward_story(setting) if setting.backward else story(setting), key=f"loss-{setting.backward}")


class _Columns:
    """Grids of one row a class, and of one number, with marks and writes taken from the records by their round."""

    def __init__(self, setting: Setting, records: Sequence[LossStep]) -> None:
        self.k, self.records = len(setting.scores), records
        self.marks: dict[str, list[int]] = {}
        self.writes: dict[str, list[float]] = {}
        self.grids: list[Grid] = []

    def column(self, name: str, symbol: str, title: str, reads: Sequence[str], writes: str = "",
               values: Sequence[float] | None = None, digits: int = 3, limit: float | None = None) -> None:
        """A number for every class, marked in the rounds that read or write it."""
        self._add(name, symbol, title, reads, writes, values, digits, limit, single=False)

    def one(self, name: str, symbol: str, title: str, reads: Sequence[str], writes: str = "",
            value: float | None = None, text: str | None = None, digits: int = 3) -> None:
        """One number for all classes."""
        self._add(name, symbol, title, reads, writes, None if value is None else [value], digits, None, single=True,
                  texts=None if text is None else [text])

    def _add(self, name: str, symbol: str, title: str, reads: Sequence[str], writes: str,
             values: Sequence[float] | None, digits: int, limit: float | None, *, single: bool,
             texts: list[str] | None = None) -> None:
        taking = {*reads, *([writes] if writes else [])}
        self.marks[name] = [(0 if single else step.index) if step.part in taking else -1 for step in self.records]
        own = [step.value for step in self.records if step.part == writes]
        if writes:  # what a later round reads is left as it is
            self.writes[name] = [step.value if step.part == writes else own[-1 if single else step.index]
                                 for step in self.records]
        reach = style.signed_limit(np.array(values if values is not None else own))
        reach = float(np.ceil(reach)) if reach > 1 else reach  # a short legend: seven columns stand side by side
        self.grids.append(Grid(
            name=name, symbol=symbol, title=title, rows=1 if single else self.k, columns=1, side=single, digits=digits,
            texts=texts, values=None if values is None else [float(one) for one in values],
            limit=reach if limit is None else limit))

    def told(self, label: str, updates: Sequence[Update], footnotes: Sequence[str]) -> Story:
        """The story of these columns, a group a round."""
        names = list(dict.fromkeys(step.part for step in self.records))
        return Story(label=label, grids=self.grids, marks=self.marks, writes=self.writes,
                     groups=[names.index(step.part) for step in self.records], updates=updates, step_name="class",
                     group_name="round", start=len(self.records), footnotes=footnotes)


def story(setting: Setting) -> Story:
    """From scores to the loss: shift, exp, sum, divide, log, and the label's share of it."""
    found, warm = setting.found, setting.temperature != 1
    made = _Columns(setting, list(loss_steps(setting.scores, setting.y.tolist(), setting.temperature)))
    taken = "u" if warm else "z"
    made.column("z", "z", "scores", [rounds.SCALE if warm else rounds.SHIFT], values=setting.scores, digits=2)
    if warm:
        made.column("u", "u", "z / T", [rounds.SHIFT], rounds.SCALE, digits=2)
    made.column("d", "d", "shifted", [rounds.EXP], rounds.SHIFT, digits=2)
    made.column("e", "e", "exp d", [rounds.SUM, rounds.DIVIDE], rounds.EXP, limit=1.0)
    if warm:
        made.one("T", "T", "temperature", [rounds.SCALE], value=setting.temperature, digits=2)
    made.one("m", "m", "the largest", [rounds.SHIFT], value=found.largest, digits=2)
    made.one("S", "S", "sum of e", [rounds.DIVIDE], rounds.SUM)
    made.one("L", "L", "loss", [], rounds.LOSS)
    made.column("p", "p", "softmax", [rounds.LOG], rounds.DIVIDE, limit=1.0)
    made.column("s", "s", "−log p", [rounds.LOSS], rounds.LOG)
    made.column("y", "y", "label", [rounds.LOSS], values=setting.y.tolist(), limit=1.0)
    updates = [
        *([Update(target="u", operands=("z", "T"), digits=2, nowhere="", replaces=True, signs=OVER)] if warm else []),
        Update(target="d", operands=(taken, "m"), digits=2, nowhere="", replaces=True, signs=LESS),
        Update(target="e", operands=("d",), digits=3, nowhere="", replaces=True, signs=RISEN),
        Update(target="S", operands=("e",), digits=3, nowhere=""),
        Update(target="p", operands=("e", "S"), digits=3, nowhere="", replaces=True, signs=OVER),
        Update(target="s", operands=("p",), digits=3, nowhere="", replaces=True, signs=LOG),
        Update(target="L", operands=("y", "s"), digits=3, nowhere=""),
    ]
    return made.told("The loss, step by step", updates, (
        "Rounds: " + ("by the temperature, " if warm else "") + "less the largest score, exp, sum, divide, −log, and "
        "of that the label's.",
        f"The loss is {number(found.loss, 6)}."))


def backward_story(setting: Setting) -> Story:
    """From the loss back to the scores: log, the division's two ways, exp, and what is left is p − y."""
    found, warm = setting.found, setting.temperature != 1
    made = _Columns(setting, list(loss_backward_steps(setting.scores, setting.y.tolist(), setting.temperature)))
    made.column("y", "y", "label", [rounds.TO_P], values=setting.y.tolist(), limit=1.0)
    made.column("p", "p", "softmax", [rounds.TO_P, rounds.TO_SUM], values=found.p, limit=1.0)
    made.column("dp", "∂p", "∂L/∂p", [rounds.TO_SUM, rounds.TO_EXP], rounds.TO_P, digits=2)
    made.one("S", "S", "the sum", [rounds.TO_SUM, rounds.TO_EXP], value=found.total)
    made.one("dS", "∂S", "∂L/∂S", [rounds.FROM_SUM], rounds.TO_SUM)
    if warm:
        made.one("T", "T", "temperature", [rounds.TO_SCORES], value=setting.temperature, digits=2)
    made.column("de", "∂e", "by p alone", [rounds.FROM_SUM], rounds.TO_EXP, digits=2)
    made.column("whole", "∂e", "∂L/∂e", [rounds.TO_SHIFT], rounds.FROM_SUM, digits=2)
    made.column("e", "e", "exp d", [rounds.TO_SHIFT], values=found.exps, digits=4, limit=1.0)
    made.column("dd", "∂d", "∂L/∂d", [rounds.TO_SCORES] if warm else [], rounds.TO_SHIFT, digits=2,
                limit=1.0)
    if warm:
        made.column("dz", "∂z", "∂L/∂z", [], rounds.TO_SCORES, digits=2, limit=1.0)
    updates = [
        Update(target="dp", operands=("y", "p"), digits=3, nowhere="", replaces=True, signs=("−", " / ", "")),
        Update(target="dS", operands=("dp", "p"), digits=3, nowhere="", signs=("(−", "·", ") / S")),
        Update(target="de", operands=("dp", "S"), digits=3, nowhere="", replaces=True, signs=OVER),
        Update(target="whole", operands=("de", "dS"), digits=3, nowhere="", replaces=True, signs=("", " + ", "")),
        Update(target="dd", operands=("whole", "e"), digits=3, nowhere="", replaces=True),
        *([Update(target="dz", operands=("dd", "T"), digits=3, nowhere="", replaces=True, signs=OVER)] if warm else []),
    ]
    label, p = setting.label, found.p[setting.label]
    return made.told("The loss backward, step by step", updates, (
        "Rounds: through the log, to the sum, through the division, the sum's share, exp"
        + (", and the temperature." if warm else "."),
        f"At the label's class {label}: p − y = {number(p)} − {number(float(setting.y[label]))} = "
        f"{number(p - float(setting.y[label]))}. Taking the largest off all adds nothing: ∂L/∂d adds up to 0."))
