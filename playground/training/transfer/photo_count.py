"""How many photographs are enough? A head trained on 5, 10, 20 ... of each class, several draws of each number."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from playground.errors import PlaygroundError
from playground.training.runs.events import Event, Finished, Measured, Stage, Started
from playground.training.runs.runs import RunSpec
from playground.training.transfer import features as torch_features
from playground.training.transfer import fit as torch_fit
from playground.training.transfer.head import Head, Split, accuracy, measure
from playground.training.transfer.recipe import Request

COUNTS = (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
DRAWS = 5
EPOCHS, BATCH_SIZE = 20, 32


def fit(spec: RunSpec, run_dir: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """A Measured for each draw: `contestant` is the number of photos a class, `epoch` the draw, `test_*` of the photos
    kept aside. request: experiment, data. The features are a frozen run's: computed once, kept by content."""
    began = time.perf_counter()
    request = Request.of({"data": spec.request["data"]})
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    yield Stage("looking at the photos", 0, 1, time.time())
    store = torch_features.store_of(request.backbone)
    found, digests = torch_fit.look(spec, store)
    labels = torch.tensor([label for _, label in found.train])
    most = int(torch.bincount(labels).min())
    counts = [count for count in COUNTS if count < most] + [most]
    yield Started(spec.kind, DRAWS * len(counts), 1, 0, found.classes, torch_fit.counts(found), str(device),
                  time.time())
    yield from torch_fit.seen(found, digests, request, store, device, should_stop)
    everything, validation = (
        Split(torch.from_numpy(store.take([digests[path] for path, _ in half])).to(device),
              torch.tensor([label for _, label in half], device=device))
        for half in (found.train, found.validation))
    done = 0
    with torch_features.one_core():
        for count in counts:
            for draw in range(1, DRAWS + 1):
                if should_stop():
                    yield Finished("stopped", done, None, 0, time.perf_counter() - began, (), time.time())
                    return
                chance = torch.Generator().manual_seed(hash((spec.seed, count, draw)) & 2**63 - 1)
                rows = torch.cat([(own := torch.nonzero(labels == k)[:, 0])[torch.randperm(len(own), generator=chance)]
                                  [:count] for k in range(len(found.classes))])
                few = Split(everything.features[rows.to(device)], everything.labels[rows.to(device)])
                yield measured(few, validation, count, draw, len(found.classes), chance)
                done += 1
    yield Finished("completed", done, None, 0, time.perf_counter() - began, (), time.time())


def measured(few: Split, validation: Split, count: int, draw: int, classes: int, chance: torch.Generator) -> Measured:
    """A new head learns the few photos, and is asked about those kept aside."""
    batches = -(-len(few.labels) // BATCH_SIZE)
    head = Head(few, classes, 1e-3, 1e-2, EPOCHS * batches)
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(few.labels), generator=chance), BATCH_SIZE):
            head.step(rows.to(few.labels.device))
    train_loss, right = measure(head.linear(), few)
    loss, confusion = measure(head.linear(), validation)
    if loss != loss:
        raise PlaygroundError("The loss is not a number: these features cannot be learnt from.")
    return Measured(str(count), draw, train_loss, accuracy(right), loss, accuracy(confusion), time.time())
