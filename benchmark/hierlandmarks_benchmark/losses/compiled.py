"""Backend `numba`: value and slope of a block of queries, compiled for the CPU.

Same algorithm and same interface as the others; see `compiled_kernels` and `compiled_far` for what is visited and what
is summed ahead. One thread does one call, without the interpreter lock; `sharing` makes the calls for several threads.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from hierlandmarks_benchmark.losses.compiled_criteria import rule_of
from hierlandmarks_benchmark.losses.compiled_far import Far
from hierlandmarks_benchmark.losses.compiled_kernels import smooth_gains, sup_gains
from hierlandmarks_benchmark.losses.compiled_layout import Array
from hierlandmarks_benchmark.losses.compiled_step import Step
from hierlandmarks_benchmark.losses.criteria import Criterion
from hierlandmarks_benchmark.losses.surrogate import SmoothSurrogate, SupSurrogate, Surrogate

# Where the series takes over, in units of τ: e^(−5·tail) is what it leaves out, relative to its first term.
_TAIL = {np.dtype(np.float32): 3.5, np.dtype(np.float64): 7.2}
# e^(± half of it) stays within the type.
_SPREAD = {np.dtype(np.float32): 160.0, np.dtype(np.float64): 1300.0}
_LARGEST = 1e18  # of a power: σ is 1 there in any type, and its square is still a float32
_MOST_BUCKETS = 512
_ITEMS_A_BUCKET = 8
# With fewer, visiting every pair is faster than sorting most of them out.
_LEAST_REFERENCES = 3072
_LEAST_POSITIVES = 64


def gains(
    scores: Tensor,
    levels: Tensor,
    relevance: Tensor,
    shares: Tensor,
    criterion: Criterion,
    surrogate: Surrogate,
    scale: float | None,
) -> Tensor:
    """As `backends.GainsFunction`, for tensors on the CPU. O(b·(M + P·M)) time at worst, O(M) memory."""
    numbers, kinds = scores.numpy(), levels.numpy()
    step, far = _step(surrogate, numbers.dtype), _far(surrogate, numbers.dtype)
    common = numbers, kinds, relevance.numpy(), shares.contiguous().numpy(), scale or 0.0, rule_of(criterion), step, far
    total: Array = np.empty(len(numbers))
    if isinstance(surrogate, SmoothSurrogate):
        smooth_gains(*common, total)
    else:
        sup_gains(*common, _buckets(levels), total)
    return torch.from_numpy(total)


def _step(surrogate: Surrogate, dtype: np.dtype) -> Step:
    rate = 1 / surrogate.tau
    if isinstance(surrogate, SupSurrogate):
        largest = min(math.exp(min(surrogate.delta * rate, 700.0)), _LARGEST)
        numbers = (rate, surrogate.delta, surrogate.rho, surrogate.start, surrogate.jump, largest)
    else:
        numbers = (rate, float(np.finfo(dtype).max) / 4, 0.0, 0.0, 0.0, _LARGEST)
    return Step(*map(dtype.type, numbers))


def _far(surrogate: Surrogate, dtype: np.dtype) -> Far:
    tau = surrogate.tau
    if isinstance(surrogate, SupSurrogate):
        offset = surrogate.plateau + surrogate.start + surrogate.jump
        return Far(tau, surrogate.delta, surrogate.rho, offset, _TAIL[dtype] * tau, _SPREAD[dtype])
    return Far(tau, 0.0, 0.0, 0.0, 0.0, _SPREAD[dtype])


def _buckets(levels: Tensor) -> int:
    rows, count = levels.shape
    if count < _LEAST_REFERENCES or int((levels > 0).sum()) < _LEAST_POSITIVES * rows:
        return 1
    return min(_MOST_BUCKETS, count // _ITEMS_A_BUCKET)
