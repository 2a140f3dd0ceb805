"""PyTorch as the engine of a training from scratch: scores, loss and gradients are its own, the weights are ours.

Before each step the weights go over to PyTorch's module, after it gradients and running statistics come back: so
everything else (update rules, checkpoints, history, export) is the same code for both engines. What dropout leaves out
is drawn by PyTorch from the run's seed and the step, so that a run that was killed goes on as if it had not been.
"""

import numpy as np
import torch
from torch.nn import functional

from engine import layers
from playground.datasets.augmentation import Mixed
from playground.network.build import build_torch
from playground.network.parts import Network
from playground.network.shapes import walk
from playground.training.scratch.losses import CROSS_ENTROPY, HINGE
from playground.training.scratch.settings import Settings

LARGE = 1e9
"""Multiply-adds of a batch, forward, from which on more than one thread is worth their waiting for each other."""
_APART = 1_000_003


def loss_of(scores: torch.Tensor, y: torch.Tensor, label_smoothing: float = 0.0, loss: str = CROSS_ENTROPY
            ) -> torch.Tensor:
    """`losses.loss_of` by PyTorch: of scores (N, K), or of one score for two classes (N, 1), the mean over pictures."""
    classes = scores.shape[1]
    if loss == HINGE:
        two = scores if classes > 1 else torch.cat([torch.zeros_like(scores), scores], 1)
        return functional.multi_margin_loss(two, y)
    if loss == CROSS_ENTROPY and classes > 1:
        return functional.cross_entropy(scores, y, label_smoothing=label_smoothing)
    right = (functional.one_hot(y, classes) if classes > 1 else y[:, None]).to(scores.dtype)
    target = (1 - label_smoothing) * right + label_smoothing / max(classes, 2)
    if loss == CROSS_ENTROPY:
        return functional.binary_cross_entropy_with_logits(scores, target)
    return functional.mse_loss(scores.softmax(1) if classes > 1 else scores.sigmoid(), target)


class TorchGradients:
    """Gradients of a network for pictures `takes` (C, H, W): a `training.Gradients`."""

    def __init__(self, network: Network, takes: tuple[int, ...], settings: Settings, seed: int):
        if walk(network, takes).multiply_adds * settings.batch_size < LARGE:
            torch.set_num_threads(1)
        self.module = build_torch(network, takes)
        self.module.train()
        self.label_smoothing, self.loss, self.seed = settings.label_smoothing, settings.loss, seed

    def __call__(self, model: layers.Sequential, mixed: Mixed, y: np.ndarray, step: int) -> tuple[float, int]:
        torch.manual_seed(self.seed * _APART + step)
        ours = dict(model.named_parameters())
        with torch.no_grad():
            for name, weight in self.module.named_parameters():
                weight.copy_(torch.from_numpy(ours[name].data))
            buffers = dict(model.named_buffers())
            for name, buffer in self.module.named_buffers():
                if name in buffers:
                    buffer.copy_(torch.from_numpy(np.asarray(buffers[name])))
        self.module.zero_grad()
        scores = self.module(torch.from_numpy(np.ascontiguousarray(mixed.x)))
        labels = torch.from_numpy(y)
        loss = loss_of(scores, labels, self.label_smoothing, self.loss)
        if mixed.share != 1.0:
            partners = loss_of(scores, labels[torch.from_numpy(mixed.partner)], self.label_smoothing, self.loss)
            loss = mixed.share * loss + (1 - mixed.share) * partners
        loss.backward()  # type: ignore[no-untyped-call]
        for name, weight in self.module.named_parameters():
            ours[name].grad = None if weight.grad is None else weight.grad.numpy()
        for name, buffer in self.module.named_buffers():
            if name in buffers:
                buffers[name][...] = buffer.numpy()
        said = scores.argmax(1) if scores.shape[1] > 1 else (scores[:, 0] > 0).long()
        return loss.item(), int((said == labels).sum())
