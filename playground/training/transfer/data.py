"""Photographs on their way to the part of a network that trains: decoded once, augmented anew, fetched ahead."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from playground.datasets.augmentation import Augmentation
from playground.datasets.folders import PhotoFolder
from playground.datasets.photos import opened
from playground.training.runs.events import Event, Stage
from playground.training.transfer import features as torch_features
from playground.training.transfer import frozen as torch_frozen
from playground.training.transfer import networks as torch_networks
from playground.training.transfer.networks import Parts, preprocessing_of
from playground.training.transfer.pixels import Pictures, PixelStore
from playground.training.transfer.recipe import Request
from playground.training.transfer.world import World

SEEN_BYTES = 2**28
"""What the frozen part's answers to all photographs may take to be kept; else they are computed anew each epoch."""
AT_ONCE = 32


@dataclass(frozen=True)
class Photographs:
    """What the loop trains and measures on, in numbers: training pictures first, then validation ones."""

    digests: list[bytes]
    paths: list[Path]
    labels: np.ndarray
    training: int
    classes: tuple[str, ...]

    @classmethod
    def of(cls, found: PhotoFolder, digests: Mapping[Path, bytes]) -> "Photographs":
        both = (*found.train, *found.validation)
        return cls([digests[path] for path, _ in both], [path for path, _ in both],
                   np.array([label for _, label in both]), len(found.train), found.classes)

    @property
    def held_out(self) -> np.ndarray:
        return np.arange(self.training, len(self.labels))


class Data:
    """Photographs on their way to the part that trains: decoded once, seen by the frozen part once where they are not
    augmented, and else anew for every mini-batch.
    """

    def __init__(self, request: Request, photographs: Photographs, parts: Parts, world: World):
        self.request, self.photographs, self.world, self.device = request, photographs, world, world.device
        self.pipeline = Augmentation.from_dict(request.augment)
        self.preprocessing = preprocessing_of(request)
        self.size = self.preprocessing.size[0]
        self.labels = torch.from_numpy(photographs.labels).to(self.device)
        mean, std = (torch.tensor(values, device=self.device).view(-1, 1, 1)
                     for values in (self.preprocessing.mean, self.preprocessing.std))
        self.factor, self.shift = 1 / (255 * std), -mean / std
        self.prefix, self.depth = parts.prefix, len(parts.groups) - 1
        self.shape = torch_networks.input_shape(parts.prefix, self.size)
        everything = 4 * math.prod(self.shape) * len(photographs.labels)
        self.keeps_seen = self.prefix is not None and not self.pipeline.active and everything <= SEEN_BYTES
        self.seen: Tensor | None = None  # what the frozen part says of every picture
        self.pixels: Pictures | None = None
        self.on_device: Tensor | None = None  # all pixels, where they fit beside the network
        self._held_out: list[tuple[Tensor, Tensor]] = []

    def prepare(self, should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Everything that is done once: decoding, or the frozen part's answers; kept on the disk for the next run."""
        pictures = list(dict(zip(self.photographs.digests, self.photographs.paths, strict=True)).items())
        if self.keeps_seen:
            store = torch_features.store_of(self.request.backbone, self.size, self.depth)
            missing = [one for one in pictures if one[0] not in store]
            work = torch_features.compute(self.request.backbone, missing, store, self.device, should_stop,
                                          size=self.size, network=self.prefix)
            yield from counted("looking through the frozen part", len(pictures), len(missing), work)
            if all(digest in store for digest, _ in pictures):
                taken = torch.from_numpy(store.take(self.photographs.digests)).reshape(-1, *self.shape)
                self.seen = taken.to(self.device)
            return
        pixels = PixelStore(self.size)
        missing = [one for one in pictures if one[0] not in pixels]
        yield from counted("decoding the photos", len(pictures), len(missing),
                           pixels.fill(pictures, torch_features.threads(), should_stop))
        if all(digest in pixels for digest, _ in pictures):
            self.pixels = pixels.take(self.photographs.digests)
            if self.device.type == "cuda" and self.pixels.all is not None and \
                    4 * self.pixels.all.nbytes < torch.cuda.mem_get_info(self.device)[0]:
                self.on_device = torch.from_numpy(self.pixels.all).to(self.device)

    def raw(self, batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
        """The pictures with each mini-batch's numbers, on the device; the next ones are fetched meanwhile.

        uint8 (n, S, S, 3), or what the frozen part says of them, float32 (n, C, H, W).
        """
        if (everything := self.seen if self.seen is not None else self.on_device) is not None:
            for rows in batches:
                yield everything[torch.from_numpy(rows).to(self.device)]
            return
        assert self.pixels is not None
        pixels, pinned = self.pixels, self.device.type == "cuda"

        def fetched(rows: np.ndarray) -> Tensor:
            found = torch.from_numpy(pixels[rows])
            return found.pin_memory() if pinned else found

        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(fetched, batches[0]) if batches else None
            for following in (*batches[1:], None):
                if coming is not None:
                    arrived = coming.result()
                    coming = pool.submit(fetched, following) if following is not None else None
                    yield arrived.to(self.device, non_blocking=True)

    def floats(self, raw: Tensor) -> Tensor:
        """Pixels as levels 0..255 (n, 3, S, S) in float; what is float already, as it is."""
        return raw.permute(0, 3, 1, 2).float() if raw.dtype == torch.uint8 else raw

    def ready(self, x: Tensor, raw: Tensor) -> Tensor:
        """Levels as the network takes them."""
        if raw.dtype == torch.uint8:
            x = x * self.factor + self.shift
        return x.contiguous(memory_format=torch.channels_last)

    @cached_property
    def answers(self) -> Callable[[Tensor], Tensor]:
        """What the frozen part says of prepared pictures; made when it is first asked for, which may be never."""
        assert self.prefix is not None
        return torch_frozen.answering(self.prefix, self.size, self.device, torch_features.threads())

    def looked_at(self, x: Tensor) -> Tensor:
        """What the trained part takes, of prepared pictures."""
        return x if self.seen is not None or self.prefix is None else self.answers(x)

    def plain(self, rows: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
        """Pictures as they are: (what the trained part takes, labels)."""
        parts = [rows[start:start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]
        for part, raw in zip(parts, self.raw(parts), strict=True):
            yield (self.looked_at(self.ready(self.floats(raw), raw)),
                   self.labels[torch.from_numpy(part).to(self.device)])

    def held_out(self) -> Iterable[tuple[Tensor, Tensor]]:
        """This process's share of the validation pictures; what a frozen part says of them is asked once."""
        rows = self.world.share(self.photographs.held_out)
        if self.prefix is None or 4 * math.prod(self.shape) * len(rows) > SEEN_BYTES:
            return self.plain(rows)
        self._held_out = self._held_out or list(self.plain(rows))
        return self._held_out

    def exact(self) -> Iterable[tuple[Tensor, Tensor]]:
        """The validation pictures exactly as the exported file prepares them: decoded again, not rounded to bytes.

        One that was removed meanwhile is passed over: that is no reason to lose what was learnt.
        """
        if self.seen is not None:  # computed from such
            return self.held_out()
        return self._exact()

    def _exact(self) -> Iterator[tuple[Tensor, Tensor]]:
        rows, photographs = self.world.share(self.photographs.held_out), self.photographs
        with ThreadPoolExecutor(torch_features.threads()) as pool:
            for start in range(0, len(rows), AT_ONCE):
                part = rows[start:start + AT_ONCE]
                found = zip(part, pool.map(lambda row: opened(photographs.paths[row]), part), strict=True)
                there = {row: self.preprocessing.apply(image) for row, image in found if image is not None}
                if there:
                    x = torch.from_numpy(np.stack(list(there.values()))).to(self.device).contiguous(
                        memory_format=torch.channels_last)
                    yield self.looked_at(x), self.labels[torch.tensor(list(there), device=self.device)]


def counted(text: str, total: int, missing: int, work: Iterator[int]) -> Iterator[Stage]:
    """Work on some of so many pictures as stages; nothing is said where nothing is missing."""
    if missing:
        done = total - missing
        yield Stage(text, done, total, time.time())
        for more in work:
            done += more
            yield Stage(text, done, total, time.time())
