"""Backend `numba`: the ranks compiled for the CPU.

Same algorithm and same interface as `eager`; see `compiled_kernels` for what is visited and what is summed ahead. One
thread does one call, without the interpreter lock; `sharing` makes the calls for several threads.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hierlandmarks_benchmark.losses.compiled_kernels import (
    Far,
    Step,
    smooth_pull,
    smooth_ranks,
    sup_pull,
    sup_ranks,
)
from hierlandmarks_benchmark.losses.compiled_layout import LANES, Array, Layout, pack
from hierlandmarks_benchmark.losses.eager import Pull
from hierlandmarks_benchmark.losses.surrogate import SmoothSurrogate, SupSurrogate, Surrogate

# Where the series takes over, in units of τ: e^(−5·tail) is what it leaves out, relative to its first term.
_TAIL = {np.dtype(np.float32): 3.5, np.dtype(np.float64): 7.2}
# e^(± half of it) stays within the type.
_SPREAD = {np.dtype(np.float32): 160.0, np.dtype(np.float64): 1300.0}
_MOST_BUCKETS = 512
_ITEMS_A_BUCKET = 8
# With fewer, visiting every pair is faster than sorting most of them out.
_LEAST_REFERENCES = 768
_LEAST_POSITIVES = 64


def ranks(scores: Tensor, levels: Tensor, relevance: Tensor, surrogate: Surrogate) -> tuple[Tensor, Tensor, Pull]:
    """As `eager.ranks`, for tensors on the CPU. O(b·(M + P·M)) time at worst, O(b·M) memory."""
    if isinstance(surrogate, SmoothSurrogate):
        return _smooth_ranks(scores, levels, relevance, surrogate)
    return _sup_ranks(scores, levels, relevance, surrogate)


def _sup_ranks(
    scores: Tensor, levels: Tensor, relevance: Tensor, surrogate: SupSurrogate
) -> tuple[Tensor, Tensor, Pull]:
    depth, worth = relevance.shape[1] - 1, relevance.numpy()
    layout = _laid_out(scores, levels, depth, _buckets(levels), surrogate.tau)
    rank, hrank = _starting_ranks(scores)
    step = _step(
        layout, surrogate.tau, surrogate.delta, surrogate.rho, surrogate.start, surrogate.jump, surrogate.plateau
    )
    offset = surrogate.plateau + surrogate.start + surrogate.jump
    tail = _TAIL[layout.values.dtype] * surrogate.tau
    far = Far(surrogate.tau, surrogate.delta, surrogate.rho, offset, tail, _SPREAD[layout.values.dtype])
    sup_ranks(layout, worth, step, far, rank, hrank)

    def pull(grad_rank: Tensor, _: Tensor) -> Tensor:
        weights, grad = grad_rank.contiguous().numpy(), np.empty(scores.shape, layout.values.dtype)
        sup_pull(layout, weights, step, far, grad, depth)
        return torch.from_numpy(grad)

    return torch.from_numpy(rank), torch.from_numpy(hrank), pull


def _smooth_ranks(
    scores: Tensor, levels: Tensor, relevance: Tensor, surrogate: SmoothSurrogate
) -> tuple[Tensor, Tensor, Pull]:
    depth, worth = relevance.shape[1] - 1, relevance.numpy()
    layout = _laid_out(scores, levels, depth, 1, surrogate.tau)
    rank, hrank = _starting_ranks(scores)
    never = float(np.finfo(layout.values.dtype).max) / 4
    step = _step(layout, surrogate.tau, never, 0.0, 0.0, 0.0, 1.0)
    smooth_ranks(layout, worth, step, rank, hrank)

    def pull(grad_rank: Tensor, grad_hrank: Tensor) -> Tensor:
        weights, hweights = grad_rank.contiguous().numpy(), grad_hrank.contiguous().numpy()
        grad = np.empty(scores.shape, layout.values.dtype)
        smooth_pull(layout, worth, weights, hweights, step, grad)
        return torch.from_numpy(grad)

    return torch.from_numpy(rank), torch.from_numpy(hrank), pull


def _starting_ranks(scores: Tensor) -> tuple[Array, Array]:
    return np.ones(scores.shape), np.zeros(scores.shape)


def _step(layout: Layout, tau: float, *rest: float) -> Step:
    real = layout.values.dtype.type
    return Step(real(1 / tau), *(real(value) for value in rest))


def _buckets(levels: Tensor) -> int:
    rows, count = levels.shape
    if count < _LEAST_REFERENCES or int((levels > 0).sum()) < _LEAST_POSITIVES * rows:
        return 1
    return min(_MOST_BUCKETS, count // _ITEMS_A_BUCKET)


def _laid_out(scores: Tensor, levels: Tensor, depth: int, buckets: int, tau: float) -> Layout:
    numbers, kinds = scores.contiguous().numpy(), levels.contiguous().numpy()
    rows, count = numbers.shape
    width = -(-count // LANES) * LANES + LANES * (depth + 1)
    layout = Layout(
        values=np.empty((rows, width), numbers.dtype),
        columns=np.empty((rows, width), np.int32),
        offsets=np.empty((rows, (depth + 1) * buckets + 1), np.int32),
        frames=np.empty((rows, 3), numbers.dtype),
    )
    pack(numbers, kinds, buckets, tau, layout)
    return layout
