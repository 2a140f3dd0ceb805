"""The processes that train together: one as a rule, several under torchrun. Each does its share of every mini-batch."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

    def agreed(self, ask: Callable[[], bool]) -> bool:
        """What the first process answers: all have to stop at the same step. Goes over the CPU, so no device waits."""
        if not self.together:
            return ask()
        answer = torch.tensor([int(ask()) if self.rank == 0 else 0])
        dist.broadcast(answer, 0)
        return bool(answer.item())

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process of each machine goes ahead, the others follow when it is through."""
        if self.together and not self.first_here:
            dist.barrier()
        yield
        if self.together and self.first_here:
            dist.barrier()

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with gradients averaged over the processes.

        Batch norms that learn use their process's share of the mini-batch on a CPU, and the whole one on GPUs
        (SyncBatchNorm, which knows GPUs only); those that keep their statistics are the same everywhere.
        """
        if not self.together:
            return module
        if self.device.type == "cuda":
            return nn.parallel.DistributedDataParallel(module, device_ids=[self.device])
        return nn.parallel.DistributedDataParallel(module)
