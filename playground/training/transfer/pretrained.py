"""A pretrained network as it is: nothing is learnt, but it goes the way of every trained model, into the registry."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from playground.training.runs import runs
from playground.training.runs.events import Event, Finished, Started
from playground.training.runs.runs import RunSpec
from playground.training.transfer import backbones
from playground.training.transfer.fit import TrainedTorch


def fit(spec: RunSpec, run_dir: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """A run of no epochs. request: backbone, a name of backbones.BACKBONES. Raises PlaygroundError for another."""
    began = time.time()
    network = backbones.pretrained(spec.request["backbone"])
    parameters = sum(p.numel() for p in network.parameters())
    yield Started(spec.kind, 0, 0, parameters, backbones.imagenet_labels(), {}, "cpu", time.time())
    yield Finished("completed", 0, None, 0, time.time() - began, (), time.time())


def load_trained(run_dir: Path) -> TrainedTorch:
    """The network of the run's request with its 1,000 classes, on the CPU, in eval mode, batch norm folded in."""
    name = runs.read_spec(run_dir).request["backbone"]
    return TrainedTorch(backbones.fused(backbones.pretrained(name)), backbones.find(name).preprocessing(),
                        backbones.imagenet_labels())
