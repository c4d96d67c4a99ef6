"""Backend `triton`: gains and their slope on a CUDA device, two evaluations of the surrogate a pair.

A program owns a query and a block of its references and walks over tiles of the others: no atomics, so the result is
deterministic. References are sorted by level first, so that tiles without a pair of interest are skipped. The first
kernel sums ranks, turns them into gains and weights, and adds up, at no further exponential, what each positive's own
score gets; the second needs only each reference's side of the pairs. Beside the scores, which become their gradient, a
block takes five times its scores at most (positions as int64, sorted scores, weights, and levels as bytes).
``TRITON_INTERPRET=1`` runs the kernels on the CPU.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor

from hierlandmarks_benchmark.losses.criteria import Criterion, HAPCriterion, NDCGCriterion, RecallCriterion
from hierlandmarks_benchmark.losses.surrogate import SmoothSurrogate, SupSurrogate, Surrogate

try:
    import triton
    import triton.language as tl
except ModuleNotFoundError:  # `backends` has refused by then; tools that import every module still can
    triton = None

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
_BLOCK = 32  # positives a program
_TILE = 128  # references a step
_KINDS = {HAPCriterion: 0, NDCGCriterion: 1, RecallCriterion: 2}


def gains(
    scores: Tensor,
    levels: Tensor,
    relevance: Tensor,
    shares: Tensor,
    criterion: Criterion,
    surrogate: Surrogate,
    scale: float | None,
) -> Tensor:
    """As `backends.GainsFunction`. O(b·P·M) time, O(b·M) memory."""
    rows, count = scores.shape
    unit = scale or 1.0
    kinds, order = levels.sort(dim=1)
    laid_out = scores.gather(1, order)
    weights = torch.empty_like(laid_out)
    hweights = torch.empty_like(laid_out) if isinstance(surrogate, SmoothSurrogate) else weights
    parts = shares.new_empty(rows, triton.cdiv(count, _BLOCK))
    worth = relevance.to(scores.dtype).contiguous()
    ks = shares.new_tensor(getattr(criterion, "ks", (0,)))
    settings = _settings(surrogate)
    rule = {
        "KIND": _KINDS[type(criterion)],
        "TEMPERATURE": getattr(criterion, "temperature", 1.0),
        "KS": shares.shape[1],
    }
    # Scalars handed over at run time would be float32, so the scale comes with the shares.
    _gains_kernel[tuple(parts.shape)](
        laid_out, kinds, order, worth, shares * unit, ks, scores, weights, hweights, parts, count, worth.shape[1],
        **settings, **rule, BLOCK=_BLOCK, TILE=_TILE,
    )  # fmt: skip
    if scale is not None:
        _pull_kernel[(rows, triton.cdiv(count, _TILE))](
            laid_out, kinds, order, worth, weights, hweights, scores, count, worth.shape[1],
            **settings, BLOCK=_BLOCK, TILE=_TILE,
        )  # fmt: skip
    return parts.sum(1) / unit


def _kernel(function: Any) -> Any:
    return function if triton is None else triton.jit(function)


def _settings(surrogate: Surrogate) -> dict[str, Any]:
    """The surrogate as compile-time constants."""
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
def _gain(
    rank: Any, hrank: Any, level: Any, shares: Any, ks: Any,
    KIND: tl.constexpr, TEMPERATURE: tl.constexpr, KS: tl.constexpr,
) -> Any:  # fmt: skip
    """Gain of items, d gain/d rank and d gain/d hrank, in float64; as `compiled_criteria.gain`."""
    LN_2: tl.constexpr = 0.6931471805599453
    to_rank = tl.zeros_like(rank)
    to_hrank = tl.zeros_like(rank)
    if KIND == 0:
        to_hrank = tl.load(shares) / rank
        value = to_hrank * hrank
        to_rank = -value / rank
    elif KIND == 1:
        logarithm = tl.log(1.0 + rank)
        value = tl.load(shares) * LN_2 * (tl.exp(LN_2 * level.to(tl.float64)) - 1.0) / logarithm
        to_rank = -value / (logarithm * (1.0 + rank))
    else:
        value = tl.zeros_like(rank)
        for n in range(KS):
            near = 1.0 / (1.0 + tl.exp((rank - tl.load(ks + n)) / TEMPERATURE))
            value += tl.load(shares + n) * near
            to_rank -= tl.load(shares + n) * near * (1.0 - near) / TEMPERATURE
    return value, to_rank, to_hrank


@_kernel
def _gains_kernel(
    scores: Any, levels: Any, order: Any, relevance: Any, shares: Any, ks: Any, grads: Any, weights: Any, hweights: Any,
    parts: Any, count: Any, kinds: Any, SMOOTH: tl.constexpr, TAU: tl.constexpr, DELTA: tl.constexpr, RHO: tl.constexpr,
    START: tl.constexpr, OFFSET: tl.constexpr, KIND: tl.constexpr, TEMPERATURE: tl.constexpr, KS: tl.constexpr,
    BLOCK: tl.constexpr, TILE: tl.constexpr,
) -> None:  # fmt: skip
    """Gain of BLOCK items k of one query, their weights, and what their own scores get; rows are sorted by level."""
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
    # 1 is added in float64, where a rank of 1 + 1e-9 is still told from 1.
    value, to_rank, to_hrank = _gain(
        1.0 + sum_rank.to(tl.float64), sum_hrank.to(tl.float64), level_k, shares + row * KS, ks, KIND, TEMPERATURE, KS
    )
    tl.store(parts + row * tl.num_programs(1) + tl.program_id(1), tl.sum(tl.where(level_k > 0, value, 0.0), axis=0))
    weight = tl.where(level_k > 0, -to_rank, 0.0).to(score_k.dtype)
    tl.store(weights + row * count + k, weight, mask=k < count)
    own = -weight * sum_slopes
    if SMOOTH:
        hweight = tl.where(level_k > 0, -to_hrank, 0.0).to(score_k.dtype)
        tl.store(hweights + row * count + k, hweight, mask=k < count)
        own -= hweight * sum_hslopes
    column = tl.load(order + row * count + k, mask=k < count, other=0)
    tl.store(grads + row * count + column, own, mask=k < count)


@_kernel
def _pull_kernel(
    scores: Any, levels: Any, order: Any, relevance: Any, weights: Any, hweights: Any, grads: Any, count: Any,
    kinds: Any, SMOOTH: tl.constexpr, TAU: tl.constexpr, DELTA: tl.constexpr, RHO: tl.constexpr, START: tl.constexpr,
    OFFSET: tl.constexpr, BLOCK: tl.constexpr, TILE: tl.constexpr,
) -> None:  # fmt: skip
    """Add Σ_k weight_k · slope_kj to the gradient of TILE items j of one query; rows are sorted by level."""
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
    column = tl.load(order + row * count + j, mask=j < count, other=0)
    own = tl.load(grads + row * count + column, mask=j < count, other=0.0)
    tl.store(grads + row * count + column, own + total, mask=j < count)
