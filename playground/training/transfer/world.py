"""The processes that train together: one as a rule, several under torchrun. Each does its share of every mini-batch."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn


class World:
    """This process among those that train together. Where torch.distributed is not set up, it is alone."""

    def __init__(self) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.rank, self.size = (dist.get_rank(), dist.get_world_size()) if together else (0, 1)
        local = int(os.environ.get("LOCAL_RANK", 0)) if together else 0
        self.first_here = local == 0  # the one of its machine that fills the caches
        self.device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")

    @property
    def together(self) -> bool:
        return self.size > 1

    def share(self, rows: np.ndarray) -> np.ndarray:
        """Every size-th of the rows, beginning with this process's."""
        return rows[self.rank::self.size]

    def total(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.together:
            dist.all_reduce(value)
        return value

    def any(self, here: bool) -> bool:
        """Whether it is so in one process at least: all have to do the same. Goes over the CPU, so no device waits."""
        if not self.together:
            return here
        answer = torch.tensor([int(here)])
        dist.all_reduce(answer, dist.ReduceOp.MAX)
        return bool(answer.item())

    def same(self, value: str) -> bool:
        """Whether it is the same everywhere."""
        told: list[object] = [None] * self.size
        if self.together:
            dist.all_gather_object(told, value)
        return not self.together or len(set(told)) == 1

    @torch.no_grad()
    def average(self, values: Sequence[Tensor]) -> None:
        """Put the mean over all processes in place of every process's own values, all in one message."""
        if self.together and values:
            flat = torch.cat([value.flatten() for value in values])
            dist.all_reduce(flat)
            flat /= self.size
            for value, mean in zip(values, torch.split(flat, [v.numel() for v in values]), strict=True):
                value.copy_(mean.view_as(value))

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process of each machine goes ahead, the others follow when it is through."""
        if self.together and not self.first_here:
            dist.barrier()
        yield
        if self.together and self.first_here:
            dist.barrier()

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with the first process's weights, the same in all of them.

        To be called in `alone`: what DistributedDataParallel sends within a backward pass would keep the others waiting
        for ever when one process's memory is full or the last mini-batch has nothing for it. `average` does it after.
        """
        if not self.together:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # newer torch calls the option by another name
            return nn.parallel.DistributedDataParallel(module, device_ids=devices, broadcast_buffers=False)

    def alone(self, wrapped: Callable[[Tensor], Tensor]) -> AbstractContextManager[None]:
        """In it a wrapped module's backward pass sends nothing."""
        inner = getattr(wrapped, "_orig_mod", wrapped)  # of torch.compile
        return inner.no_sync() if isinstance(inner, nn.parallel.DistributedDataParallel) else nullcontext()
