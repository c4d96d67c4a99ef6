"""BatchNorm over the pictures of all processes where torch has none: on CPUs (`torch.nn.SyncBatchNorm` wants CUDA)."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

M = TypeVar("M", bound=nn.Module)


class SharedBatchNorm(_BatchNorm):
    """What `BatchNorm` gives for the pictures of all processes together, in value and gradient.

    Every process has to call it equally often, forward and backward; how many pictures each has may differ. Sums are
    taken in float64, so that their order hardly matters. Costs two all-reduces of C numbers a pass. Source: Ioffe and
    Szegedy, arXiv 1502.03167, algorithm 1, with the batch spread out.
    """

    def forward(self, features: Tensor) -> Tensor:
        """B × C × … → the same shape; in evaluation as torch does it."""
        if not self.training:
            return super().forward(features)
        own, shape = features.float() if features.dtype.itemsize < 4 else features, (1, -1, *[1] * (features.ndim - 2))
        over = [0, *range(2, features.ndim)]
        count = torch.tensor([own.numel() / max(own.shape[1], 1)], dtype=torch.float64)
        total = _summed(torch.cat([own.sum(over, dtype=torch.float64), count]))
        places, mean = total[-1].detach(), total[:-1] / total[-1].detach()
        centred = own - mean.to(own.dtype).view(shape)
        variance = _summed(centred.square().sum(over, dtype=torch.float64)) / places
        self._learn(mean.detach(), variance.detach() * places / (places - 1))
        found = centred * (variance + self.eps).rsqrt().to(own.dtype).view(shape)
        if self.affine:
            found = found * self.weight.view(shape) + self.bias.view(shape)
        return found.to(features.dtype)

    def _learn(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, as torch does: by `momentum`, or to the plain mean of all batches."""
        if not self.track_running_stats or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        for kept, new in ((self.running_mean, mean), (self.running_var, variance)):
            cast(Tensor, kept).lerp_(new.to(cast(Tensor, kept).dtype), share)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions from 2 on."""


def share_batch_norm(network: M) -> M:
    """The network with its BatchNorms sharing their batches; parameters and buffers stay the same objects."""
    if isinstance(network, _BatchNorm):
        return cast(M, _shared(network))
    for name, layer in network.named_children():
        setattr(network, name, share_batch_norm(layer))
    return network


def _shared(layer: _BatchNorm) -> SharedBatchNorm:
    made = SharedBatchNorm(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
    made._parameters.update(layer._parameters)
    made._buffers.update(layer._buffers)
    return made.train(layer.training)


class _Sum(torch.autograd.Function):
    """Σ over processes. Each uses the sum for its own part of the loss, so gradients of all are added up too."""

    @staticmethod
    def forward(_ctx: Any, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _summed(own: Tensor) -> Tensor:
    found: Tensor = _Sum.apply(own)  # type: ignore[no-untyped-call]
    return found
