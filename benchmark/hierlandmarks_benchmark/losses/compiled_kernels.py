"""The loops of the compiled backend: one query after another, from its scores to its gains and the scores' gradient.

A positive's slopes are kept only until its rank is known; with the rank comes its weight, so one visit of a pair is
enough. `compiled_far` leaves most pairs out where there are many references.
"""

from __future__ import annotations

import numpy as np

from hierlandmarks_benchmark.losses.compiled_criteria import Rule, gain
from hierlandmarks_benchmark.losses.compiled_far import Far, far_pull, far_rank, new_sums, spread
from hierlandmarks_benchmark.losses.compiled_layout import (
    Array,
    Layout,
    bucket_of,
    bucket_span,
    pack,
    places_for,
    prefix_sums,
    segment,
    summable,
)
from hierlandmarks_benchmark.losses.compiled_math import jit
from hierlandmarks_benchmark.losses.compiled_step import Step, count_from, give_back, inverse_of, powers_of, visit


@jit
def _true_ranks(layout: Layout, relevance: Array, own: int, score: float, buckets: int) -> tuple[float, float]:
    """Items of at least the own level that are not below, and H-rank, both with the true step."""
    bucket = bucket_of(score, layout.frame, buckets)
    rank, hrank = 0.0, 0.0
    for level in range(1, relevance.size):
        _, _, end = segment(layout.offsets, level, buckets)
        start, behind = bucket_span(layout.offsets, level, bucket, bucket, buckets)
        # The item counts itself here, which is the 1 of its rank and the rel(k) of its H-rank.
        above = end - behind + count_from(layout.values, start, behind, score)
        hrank += above * min(relevance[own], relevance[level])
        rank += above if level >= own else 0
    return rank, hrank


@jit
def _store(layout: Layout, grads: Array, scores: Array) -> None:
    """Put the gradient of every place where its score was."""
    for place in range(int(layout.offsets[-1])):
        if layout.columns[place] >= 0:
            scores[layout.columns[place]] = grads[place]


@jit
def sup_gains(scores: Array, levels: Array, relevance: Array, shares: Array, scale: float, rule: Rule, step: Step,
              far: Far, buckets: int, gains: Array) -> None:  # fmt: skip
    """Σ gain of every query under SupRank; scores receive the gradient of −scale · Σ gains.

    Args:
        scores: b × M.
        levels: b × M int8.
        relevance: b × (L + 1) float64.
        shares: b × N float64, see `criteria`; where the first is 0 nothing is gained.
        scale: of the gradient.
        rule: the criterion.
        step: H⁻ near the positive; far: elsewhere.
        buckets: 1 where every reference is to be visited.
        gains: b float64, receives.
    """
    depth, real = relevance.shape[1] - 1, scores.dtype.type
    width = places_for(scores.shape[1], depth)
    layout = Layout(
        np.empty(width, scores.dtype),
        np.empty(width, np.int32),
        np.empty((depth + 1) * buckets + 1, np.int32),
        np.empty(3, scores.dtype),
    )
    near, slopes, grads = np.empty_like(layout.values), np.empty_like(layout.values), np.empty_like(layout.values)
    sums = new_sums(width if buckets > 1 else 0, depth)
    for row in range(len(scores)):
        gains[row] = 0.0
        if shares[row, 0] == 0:
            scores[row] = 0.0
            continue
        pack(scores[row], levels[row], buckets, far.tau, layout)
        grads[:] = 0.0
        fits = powers_of(layout.values, int(layout.offsets[-1]), layout.frame, far.tau, far.spread, near)
        ahead = summable(layout.frame, buckets, far.tau)
        if ahead:
            prefix_sums(layout, buckets, far.tau, sums.powers, sums.tails, sums.behind)
            sums.rises[:], sums.series[:] = 0.0, 0.0
        for own in range(1, depth + 1):
            start, item, stop = segment(layout.offsets, own, buckets)
            for place in range(item, stop):
                score = layout.values[place]
                inverse = real(inverse_of(score, layout.frame, far.tau)) if fits else real(0)
                rank, hrank = _true_ranks(layout, relevance[row], own, score, buckets)
                if ahead:
                    smooth, slope = far_rank(layout, near, slopes, sums, own, buckets, score, inverse, step, far)
                else:  # the segments of all lower levels lie side by side
                    smooth, slope = visit(layout.values, near, slopes, 0, start, score, inverse, step)
                value, weight, _ = gain(rule, shares[row], own, rank + smooth, hrank)
                gains[row] += value
                weight *= -scale
                grads[place] -= real(weight * slope)
                if ahead:
                    far_pull(layout, grads, slopes, sums, own, score, weight, far)
                else:
                    give_back(grads, slopes, 0, start, real(weight))
        if ahead:
            spread(layout.offsets, buckets, sums, grads)
        _store(layout, grads, scores[row])


@jit
def smooth_gains(scores: Array, levels: Array, relevance: Array, shares: Array, scale: float, rule: Rule, step: Step,
                 far: Far, gains: Array) -> None:  # fmt: skip
    """Σ gain of every query under SmoothRank; arguments as for `sup_gains`."""
    depth, real = relevance.shape[1] - 1, scores.dtype.type
    width = places_for(scores.shape[1], depth)
    layout = Layout(
        np.empty(width, scores.dtype),
        np.empty(width, np.int32),
        np.empty(depth + 2, np.int32),
        np.empty(3, scores.dtype),
    )
    near, slopes, grads = np.empty_like(layout.values), np.empty_like(layout.values), np.empty_like(layout.values)
    shared, slope = np.zeros(depth + 1), np.zeros(depth + 1)
    for row in range(len(scores)):
        gains[row] = 0.0
        if shares[row, 0] == 0:
            scores[row] = 0.0
            continue
        pack(scores[row], levels[row], 1, far.tau, layout)
        grads[:] = 0.0
        fits = powers_of(layout.values, int(layout.offsets[-1]), layout.frame, far.tau, far.spread, near)
        for own in range(1, depth + 1):
            _, item, stop = segment(layout.offsets, own, 1)
            for place in range(item, stop):
                score = layout.values[place]
                inverse = real(inverse_of(score, layout.frame, far.tau)) if fits else real(0)
                # The item meets itself with σ(0) = 1/2, where 1 and rel(k) are due.
                rank, hrank = 0.5, 0.5 * relevance[row, own]
                for level in range(depth + 1):
                    start, _, end = segment(layout.offsets, level, 1)
                    smooth, slope[level] = visit(layout.values, near, slopes, start, end, score, inverse, step)
                    shared[level] = min(relevance[row, own], relevance[row, level]) if level else 0.0
                    rank += smooth
                    hrank += smooth * shared[level]
                value, to_rank, to_hrank = gain(rule, shares[row], own, rank, hrank)
                gains[row] += value
                for level in range(depth + 1):
                    start, _, end = segment(layout.offsets, level, 1)
                    weight = -scale * (to_rank + shared[level] * to_hrank)
                    grads[place] -= real(weight * slope[level])
                    give_back(grads, slopes, start, end, real(weight))
        _store(layout, grads, scores[row])
