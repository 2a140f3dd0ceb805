"""The loss of a run: what it is measured in, and why that on pictures never trained on may lie below training's."""

from playground.errors import PlaygroundError
from playground.network.parts import everything
from playground.network.presets import network_named
from playground.numbers import counted, number
from playground.training.runs.runs import RunView
from playground.training.scratch.doctor import STUCK
from playground.training.scratch.losses import CROSS_ENTROPY, WORDS, chance, learnt_from
from playground.ui.studio import soft_targets


def unit_of(loss: str) -> str:
    """What a loss is measured in, for the title of an axis.

    >>> unit_of("cross-entropy"), unit_of("squared-error")
    ('nats per image', 'squared error')
    """
    return "nats per image" if loss == CROSS_ENTROPY else WORDS[loss]


def why(view: RunView, held_out: str) -> str:
    """Why the training loss of a run lies above the other, in a few sentences; nothing where it does not, or where the
    network has learnt nothing: there something is wrong."""
    return "" if learnt_nothing(view) else soft_targets.why_above(view) or why_below(view, held_out)


def learnt_nothing(view: RunView) -> bool:
    """Whether after its last epoch a run's loss on pictures it is not trained on is near that of a mere guess."""
    return bool(view.epochs and view.started and not view.epochs[-1].validation_loss <
                STUCK * chance(learnt_from(view.spec.request), len(view.started.classes)))


def why_below(view: RunView, held_out: str) -> str:
    """Why the loss on images never trained on lies below the training loss, where it does after any epoch."""
    below = [one for one in view.epochs if one.validation_loss < one.train_loss]
    if not below:
        return ""
    reasons = []
    if view.spec.kind == "digits" and has_dropout(str(view.spec.request.get("network", "usual"))):
        reasons.append("While it trains, dropout leaves a part of the units out; on the others all of them work.")
    if view.spec.request.get("augment"):
        reasons.append("Training pictures are augmented, and harder to name.")
    reasons.append("The training loss is the average over an epoch in which the weights moved on; the other is "
                   "measured at its end.")
    return (f"After {len(below)} of {counted(len(view.epochs), 'epoch')} the {held_out} loss lies below the training "
            f"loss (epoch {below[0].epoch}: {number(below[0].validation_loss, 3)} and "
            f"{number(below[0].train_loss, 3)}), and nothing is wrong. " + " ".join(reasons))


def has_dropout(asked: str) -> bool:
    """Whether a network asked for by name or spelling leaves units out while it trains."""
    try:
        network = network_named(asked, (1, 32, 32), 10)
    except PlaygroundError:
        return False
    return any(one.kind in ("dropout", "dropout2d") for _, one in everything(network.parts))
