"""What can happen in a training run. Each event is a frozen record; a run is the list of them, one JSON line each.

`time` is in seconds since 1970, `seconds` a duration; epochs and batches count from 1; accuracies are shares 0..1.
"""

import json
from dataclasses import asdict, dataclass, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

MOST = 2**53
"""No count and no time is larger: beyond it whole numbers and floats part."""


@dataclass(frozen=True)
class Queued:
    """Other trainings come first: place 1 is the next; 0 says that the turn has come."""

    place: int
    time: float


@dataclass(frozen=True)
class Cancelled:
    """The run was taken out of the queue before it began."""

    time: float


@dataclass(frozen=True)
class Resumed:
    """Another worker goes on with the run: what is still true of before is told again by it. Where it is only
    `finishing`, nothing is trained any more: what was told before stays, and a model is made of what was learnt."""

    time: float
    finishing: bool = False


@dataclass(frozen=True)
class Started:
    """The data are read and the model is built. `samples` counts pictures by split, `parameters` those that train."""

    kind: str
    total_epochs: int
    batches_per_epoch: int
    parameters: int
    classes: tuple[str, ...]
    samples: dict[str, int]
    device: str
    time: float


@dataclass(frozen=True)
class Stage:
    """Work that is not an epoch, counted: "computing features", 120 of 799."""

    text: str
    done: int
    total: int
    time: float


@dataclass(frozen=True)
class Batch:
    """One step of the optimizer: what the batch said before it. At most about ten a second are written."""

    epoch: int
    batch: int
    batches: int
    loss: float
    accuracy: float
    learning_rate: float
    time: float


@dataclass(frozen=True)
class Epoch:
    """Every training picture was seen once more. `train_*` are means over the epoch's batches, as they were met."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float
    time: float


@dataclass(frozen=True)
class RateChanged:
    """Somebody changed the learning rate in flight: from this epoch on, before which `step` steps were taken, the
    schedule's rates are others, the first of them `rate`."""

    epoch: int
    step: int
    rate: float
    time: float


@dataclass(frozen=True)
class Measured:
    """One contestant of an experiment has seen every training picture once more; both measured after the epoch."""

    contestant: str
    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    time: float


@dataclass(frozen=True)
class PartMeasures:
    """One part of a network at one step, its place in the network as `path`.

    `activation` and `gradient` are the root mean square of what the part gives and of the gradient of the loss that
    comes back to it, over the finite numbers (None where there are none); `step` is |Δw| / |w| of its weight (None
    where it has none, or the step was not taken). Of what it gives, `zeros` are exactly 0, `not_finite` NaN or Inf,
    `saturated` where a sigmoid or tanh has less than 4 % of its largest slope, and `dead` the units that are 0 on every
    picture of the batch (None for other kinds of part).
    """

    path: tuple[int, ...]
    kind: str
    activation: float | None
    gradient: float | None
    step: float | None
    zeros: float
    not_finite: float
    saturated: float | None = None
    dead: float | None = None


@dataclass(frozen=True)
class NotFinite:
    """Where the first NaN or Inf of a step came up: at which part (none: the loss, or what goes in), in which op, and
    on which way: "forward", "backward", or in the "step" before, which made a weight of it."""

    path: tuple[int, ...]
    op: str
    way: str


@dataclass(frozen=True)
class Measures:
    """What the parts of a network were like at one step of the optimizer, counted from 1 over the whole training.
    `pictures` is the root mean square of what went in, `loss` None where it is no number."""

    epoch: int
    step: int
    pictures: float | None
    loss: float | None
    parts: tuple[PartMeasures, ...]
    first: NotFinite | None
    time: float


@dataclass(frozen=True)
class Saved:
    """A checkpoint is on the disk; it was written before this event."""

    path: str
    epoch: int
    time: float


@dataclass(frozen=True)
class Finished:
    """Training is over. `reason` is "completed" or "stopped"; confusion[true][predicted] counts the test pictures.

    Where there is no test split `test_accuracy` and `confusion` are of the validation split, and `test_count` its size;
    with no held-out picture at all they are None, 0 and empty. `best_epoch` is set where the validation split chose
    whose weights are kept: then its accuracy is flattered a little.
    """

    reason: str
    epochs: int
    test_accuracy: float | None
    test_count: int
    seconds: float
    confusion: tuple[tuple[int, ...], ...]
    time: float
    best_epoch: int | None = None


@dataclass(frozen=True)
class Exported:
    """The model is in the registry: on `samples` pictures onnxruntime answered as the trainer, to `max_difference`."""

    name: str
    path: str
    max_difference: float
    samples: int
    time: float


@dataclass(frozen=True)
class Failed:
    """The run ended early. `message` is one sentence for a person, `detail` the traceback."""

    message: str
    detail: str
    time: float


def ordinal(place: int) -> str:
    """A place in a queue as a person says it.

    >>> [ordinal(place) for place in (1, 2, 3, 4, 11, 22)]
    ['1st', '2nd', '3rd', '4th', '11th', '22nd']
    """
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"


Event = (Queued | Cancelled | Resumed | Started | Stage | Batch | Epoch | RateChanged | Measured | Measures | Saved
         | Finished | Exported | Failed)
KINDS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (Queued, Cancelled, Resumed, Started, Stage, Batch, Epoch, RateChanged, Measured, Measures, Saved,
                 Finished, Exported, Failed)
}


def to_json(event: Event) -> str:
    """The event as one line of JSON (a diverged loss is written NaN, which Python reads back)."""
    return json.dumps({"event": type(event).__name__, **asdict(event)}, ensure_ascii=False)


def from_json(line: str | bytes) -> Event:
    """The event of a line. Raises ValueError when the line is not one.

    >>> saved = Saved(path="model.safetensors", epoch=3, time=1.5)
    >>> from_json(to_json(saved)) == saved
    True
    """
    try:
        data = json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    kind = KINDS.get(str(data.pop("event", None))) if isinstance(data, dict) else None
    if kind is None:
        raise ValueError(f"not an event: {line[:80]!r}")
    types: dict[str, Any] = _types(kind)  # type: ignore[arg-type]  # a class is hashable
    try:
        event = kind(**{key: _frozen(value, types.get(key)) for key, value in data.items()})
    except TypeError as error:
        raise ValueError(f"not a whole {kind.__name__}: {error}") from error
    wrong = [name for name, wanted in types.items() if not _is_a(getattr(event, name), wanted)]
    if wrong or not abs(event.time) < MOST:
        raise ValueError(f"not a whole {kind.__name__}: {', '.join(wrong or ['time'])}")
    return event


@cache
def _types(kind: Any) -> dict[str, Any]:
    """What each field of an event holds."""
    return get_type_hints(kind)


def _is_a(value: Any, wanted: Any) -> bool:
    """Whether a value is of a field's type: what a damaged or foreign log says may be anything."""
    inner = get_args(wanted)
    if get_origin(wanted) is UnionType:
        return any(_is_a(value, one) for one in inner)
    if get_origin(wanted) is tuple:
        return isinstance(value, tuple) and all(_is_a(one, inner[0]) for one in value)
    if get_origin(wanted) is dict:
        return isinstance(value, dict) and all(_is_a(one, inner[1]) for one in value.values())
    if is_dataclass(wanted):
        return isinstance(value, wanted) and all(  # type: ignore[arg-type]
            _is_a(getattr(value, name), one) for name, one in _types(wanted).items())  # type: ignore[arg-type]
    if wanted in (int, float):
        if isinstance(value, float):  # a loss that diverged may be any
            return wanted is float
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < MOST
    return isinstance(value, wanted) and (wanted is not str or _is_whole(value))


def _is_whole(text: str) -> bool:
    """Whether a text can be written down: half a character, which JSON can hold, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _frozen(value: Any, wanted: Any) -> Any:
    """JSON knows lists and objects only; the events hold tuples, and records of their own."""
    if isinstance(value, list):
        inner = get_args(wanted)[0] if get_origin(wanted) is tuple else None
        return tuple(_frozen(one, inner) for one in value)
    records = [one for one in (wanted, *get_args(wanted)) if is_dataclass(one)]
    if isinstance(value, dict) and records:
        types = _types(records[0])  # type: ignore[arg-type]
        return records[0](**{key: _frozen(one, types.get(key)) for key, one in value.items()})  # type: ignore[operator]
    return value
