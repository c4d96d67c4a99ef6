"""Backend `triton`: ranks and their gradient on a CUDA device, two evaluations of the surrogate a pair.

A program owns a query and a block of its references and walks over tiles of the others: no atomics, so the result is
deterministic, and no tensor larger than b × M. References are sorted by level first, so that tiles without a pair of
interest are skipped. The first kernel sums ranks and, at no further exponential, the slopes of each positive; the
second needs only each reference's side of the pairs. ``TRITON_INTERPRET=1`` runs the kernels on the CPU.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor

from hierlandmarks_benchmark.losses.eager import Pull
from hierlandmarks_benchmark.losses.surrogate import SupSurrogate, Surrogate

try:
    import triton
    import triton.language as tl
except ModuleNotFoundError:  # `backends` has refused by then; tools that import every module still can
    triton = None

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
_BLOCK = 32  # positives a program
_TILE = 128  # references a step


def ranks(scores: Tensor, levels: Tensor, relevance: Tensor, surrogate: Surrogate) -> tuple[Tensor, Tensor, Pull]:
    """As `eager.ranks`. O(b·P·M) time, O(b·M) memory."""
    kinds, order = levels.sort(dim=1)
    laid_out = scores.gather(1, order)
    worth = relevance.to(scores.dtype).contiguous()
    rank, hrank, slopes, hslopes = (torch.empty_like(laid_out) for _ in range(4))
    settings = _settings(surrogate)
    shape = *scores.shape, relevance.shape[1]
    grid = shape[0], triton.cdiv(shape[1], _BLOCK)
    _ranks_kernel[grid](
        laid_out, kinds, worth, rank, hrank, slopes, hslopes, shape[1], shape[2], **settings, BLOCK=_BLOCK, TILE=_TILE
    )

    def pull(grad_rank: Tensor, grad_hrank: Tensor) -> Tensor:
        weights = grad_rank.gather(1, order).to(scores.dtype)
        hweights = grad_hrank.gather(1, order).to(scores.dtype)
        grads = torch.empty_like(laid_out)
        _pull_kernel[(shape[0], triton.cdiv(shape[1], _TILE))](
            laid_out, kinds, worth, weights, hweights, grads, shape[1], shape[2], **settings, BLOCK=_BLOCK, TILE=_TILE
        )
        grads -= weights * slopes
        if settings["SMOOTH"]:
            grads -= hweights * hslopes
        return torch.empty_like(grads).scatter_(1, order, grads)

    # 1 is added in float64, where a rank of 1 + 1e-9 is still told from 1.
    return _unsorted(rank, order) + 1, _unsorted(hrank, order), pull


def _kernel(function: Any) -> Any:
    return function if triton is None else triton.jit(function)


def _unsorted(values: Tensor, order: Tensor) -> Tensor:
    wide = values.double()
    return torch.empty_like(wide).scatter_(1, order, wide)


def _settings(surrogate: Surrogate) -> dict[str, Any]:
    """The surrogate as compile-time constants: scalars handed over at run time would be float32."""
    if isinstance(surrogate, SupSurrogate):
        return {
            "SMOOTH": False, "TAU": surrogate.tau, "DELTA": surrogate.delta, "RHO": surrogate.rho,
            "START": surrogate.start, "OFFSET": surrogate.plateau + surrogate.start + surrogate.jump,
        }  # fmt: skip
    return {"SMOOTH": True, "TAU": surrogate.tau, "DELTA": 0.0, "RHO": 0.0, "START": 0.0, "OFFSET": 0.0}


@_kernel
def _sigmoid_and_slope(x: Any) -> Any:
    """σ(x) and σ'(x) from one exponential and one reciprocal, of full relative accuracy on both sides."""
    power = tl.exp(-tl.abs(x))
    rest = 1.0 / (1.0 + power)
    return tl.where(x >= 0, rest, power * rest), power * rest * rest


@_kernel
def _ranks_kernel(
    scores: Any, levels: Any, relevance: Any, rank: Any, hrank: Any, slopes: Any, hslopes: Any, count: Any, kinds: Any,
    SMOOTH: tl.constexpr, TAU: tl.constexpr, DELTA: tl.constexpr, RHO: tl.constexpr, START: tl.constexpr,
    OFFSET: tl.constexpr, BLOCK: tl.constexpr, TILE: tl.constexpr,
) -> None:  # fmt: skip
    """Rank − 1, H-rank and Σ slope of BLOCK items k of one query against all j; rows are sorted by level."""
    row = tl.program_id(0).to(tl.int64)
    k = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    score_k = tl.load(scores + row * count + k, mask=k < count, other=0.0)
    level_k = tl.load(levels + row * count + k, mask=k < count, other=0).to(tl.int32)
    worth_k = tl.load(relevance + row * kinds + level_k)
    limit = score_k + DELTA
    sum_rank = tl.zeros_like(score_k)
    sum_hrank = tl.where(level_k > 0, worth_k, 0.0)
    sum_slopes = tl.zeros_like(score_k)
    sum_hslopes = tl.zeros_like(score_k)
    highest = tl.max(level_k, axis=0)
    if highest > 0:
        for first in range(0, count, TILE):
            j = first + tl.arange(0, TILE)
            score_j = tl.load(scores + row * count + j, mask=j < count, other=0.0)
            level_j = tl.load(levels + row * count + j, mask=j < count, other=0).to(tl.int32)
            worth_j = tl.load(relevance + row * kinds + level_j)
            t = score_j[None, :] - score_k[:, None]
            pair = (j < count)[None, :] & (level_k > 0)[:, None] & (j[None, :] != k[:, None])
            lower = pair & (level_j[None, :] < level_k[:, None])
            shared = tl.where((level_j > 0)[None, :], tl.minimum(worth_j[None, :], worth_k[:, None]), 0.0)
            if SMOOTH:
                step, slope = _sigmoid_and_slope(t / TAU)
                sum_rank += tl.sum(tl.where(pair, step, 0.0), axis=1)
                sum_hrank += tl.sum(tl.where(pair, shared * step, 0.0), axis=1)
                sum_slopes += tl.sum(tl.where(pair, slope / TAU, 0.0), axis=1)
                sum_hslopes += tl.sum(tl.where(pair, shared * slope / TAU, 0.0), axis=1)
            else:
                above = pair & (t >= 0)
                sum_hrank += tl.sum(tl.where(above, shared, 0.0), axis=1)
                sum_rank += tl.sum(tl.where(above & (level_j[None, :] >= level_k[:, None]), 1.0, 0.0), axis=1)
                if tl.min(tl.where(j < count, level_j, highest), axis=0) < highest:
                    step, slope = _sigmoid_and_slope(t / TAU)
                    beyond = score_j[None, :] > limit[:, None]
                    step = tl.where(beyond, RHO * (t - DELTA) + OFFSET, step + tl.where(t > 0, START, 0.0))
                    slope = tl.where(beyond, RHO, slope / TAU)
                    sum_rank += tl.sum(tl.where(lower, step, 0.0), axis=1)
                    sum_slopes += tl.sum(tl.where(lower, slope, 0.0), axis=1)
    tl.store(rank + row * count + k, sum_rank, mask=k < count)
    tl.store(hrank + row * count + k, sum_hrank, mask=k < count)
    tl.store(slopes + row * count + k, sum_slopes, mask=k < count)
    tl.store(hslopes + row * count + k, sum_hslopes, mask=k < count)


@_kernel
def _pull_kernel(
    scores: Any, levels: Any, relevance: Any, weights: Any, hweights: Any, grads: Any, count: Any, kinds: Any,
    SMOOTH: tl.constexpr, TAU: tl.constexpr, DELTA: tl.constexpr, RHO: tl.constexpr, START: tl.constexpr,
    OFFSET: tl.constexpr, BLOCK: tl.constexpr, TILE: tl.constexpr,
) -> None:  # fmt: skip
    """Σ_k weight_k · slope_kj for TILE items j of one query; rows are sorted by level."""
    row = tl.program_id(0).to(tl.int64)
    j = tl.program_id(1) * TILE + tl.arange(0, TILE)
    score_j = tl.load(scores + row * count + j, mask=j < count, other=0.0)
    level_j = tl.load(levels + row * count + j, mask=j < count, other=0).to(tl.int32)
    worth_j = tl.load(relevance + row * kinds + level_j)
    total = tl.zeros_like(score_j)
    lowest = -1 if SMOOTH else tl.min(level_j, axis=0)
    for first in range(0, count, BLOCK):
        k = first + tl.arange(0, BLOCK)
        level_k = tl.load(levels + row * count + k, mask=k < count, other=0).to(tl.int32)
        highest = tl.max(level_k, axis=0)
        if (highest > 0) & (highest > lowest):
            score_k = tl.load(scores + row * count + k, mask=k < count, other=0.0)
            weight = tl.load(weights + row * count + k, mask=k < count, other=0.0)[:, None]
            t = score_j[None, :] - score_k[:, None]
            _, slope = _sigmoid_and_slope(t / TAU)
            slope = slope / TAU
            pair = (level_k > 0)[:, None] & (j[None, :] != k[:, None])
            if SMOOTH:
                worth_k = tl.load(relevance + row * kinds + level_k)
                hweight = tl.load(hweights + row * count + k, mask=k < count, other=0.0)
                shared = tl.where((level_j > 0)[None, :], tl.minimum(worth_j[None, :], worth_k[:, None]), 0.0)
                total += tl.sum(tl.where(pair, (weight + shared * hweight[:, None]) * slope, 0.0), axis=0)
            else:
                slope = tl.where(score_j[None, :] > (score_k + DELTA)[:, None], RHO, slope)
                lower = pair & (level_j[None, :] < level_k[:, None])
                total += tl.sum(tl.where(lower, weight * slope, 0.0), axis=0)
    tl.store(grads + row * count + j, total, mask=j < count)
