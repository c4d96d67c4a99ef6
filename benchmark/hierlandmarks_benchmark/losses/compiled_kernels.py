"""The loops of the compiled backend: one query after another, from its scores to its gains and the scores' gradient.

A positive's slopes are kept only until its rank is known; with the rank comes its weight, so one visit of a pair is
enough. `compiled_far` leaves most pairs out where there are many references. Arrays are taken out of their tuples, and
rows of matrices cut, before the loop over positives: each time costs numba two atomic counts.
"""

from __future__ import annotations

import numpy as np

from hierlandmarks_benchmark.losses.compiled_criteria import Rule, gain
from hierlandmarks_benchmark.losses.compiled_far import Far, far_pull, far_rank, new_sums, spread
from hierlandmarks_benchmark.losses.compiled_layout import (
    Array,
    Layout,
    bucket_span,
    pack,
    places_for,
    prefix_sums,
    segment,
    summable,
)
from hierlandmarks_benchmark.losses.compiled_math import jit
from hierlandmarks_benchmark.losses.compiled_step import Step, count_not_below, give_back, powers_of, visit


@jit
def _true_ranks(layout: Layout, buckets: int, worth: Array, counts: Array, ranks: Array, hranks: Array) -> None:
    """Ranks and H-ranks of all positives with the true step, among references of at least their own level.

    Args:
        layout: the row, as `pack` fills it.
        buckets: a segment has; only items of one bucket are compared.
        worth: L + 1, rel(l).
        counts: W, in the scores' type: room for what is counted, exact up to 2^24.
        ranks: W float64, receives; hranks: likewise.
    """
    values, offsets = layout.values, layout.offsets
    ranks[:], hranks[:] = 0.0, 0.0
    for level in range(1, worth.size):
        _, _, end = segment(offsets, level, buckets)
        for own in range(1, worth.size):
            shared = min(worth[own], worth[level])
            for bucket in range(buckets):
                first, last = bucket_span(offsets, own, bucket, bucket, buckets)
                start, behind = bucket_span(offsets, level, bucket, bucket, buckets)
                count_not_below(values, start, behind, end - behind, first, last, counts)
                for place in range(np.uintp(first), np.uintp(last)):
                    hranks[place] += shared * counts[place]
                    ranks[place] += counts[place] if level >= own else 0


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
    values, columns = np.empty(width, scores.dtype), np.empty(width, np.int32)
    offsets, frame = np.empty((depth + 1) * buckets + 1, np.int32), np.empty(3, scores.dtype)
    layout = Layout(values, columns, offsets, frame)
    near, slopes, grads = np.empty_like(values), np.empty_like(values), np.empty_like(values)
    ranks, hranks = np.empty(width), np.empty(width)
    sums = new_sums(width if buckets > 1 else 0, depth)
    for row in range(len(scores)):
        worth, share, total = relevance[row], shares[row], 0.0
        if share[0] == 0:
            scores[row], gains[row] = 0.0, 0.0
            continue
        pack(scores[row], levels[row], buckets, far.tau, layout)
        grads[:] = 0.0
        fits = powers_of(values, int(offsets[-1]), frame, far.tau, far.spread, near)
        _true_ranks(layout, buckets, worth, slopes, ranks, hranks)
        ahead = summable(frame, buckets, far.tau)
        if ahead:
            prefix_sums(layout, buckets, far.tau, sums.powers, sums.tails, sums.behind)
            sums.rises[:], sums.series[:] = 0.0, 0.0
        for own in range(1, depth + 1):
            start, item, stop = segment(offsets, own, buckets)
            for place in range(item, stop):
                score = values[place]
                inverse = real(1) / near[place] if fits else real(0)
                if ahead:
                    smooth, slope = far_rank(layout, near, slopes, sums, own, buckets, score, inverse, step, far)
                else:  # the segments of all lower levels lie side by side
                    smooth, slope = visit(values, near, slopes, 0, start, score, inverse, step)
                value, weight, _ = gain(rule, share, own, ranks[place] + smooth, hranks[place])
                total += value
                weight *= -scale
                grads[place] -= real(weight * slope)
                if ahead:
                    far_pull(layout, grads, slopes, sums, own, score, weight, far)
                else:
                    give_back(grads, slopes, 0, start, real(weight))
        if ahead:
            spread(offsets, buckets, sums, grads)
        gains[row] = total
        _store(layout, grads, scores[row])


@jit
def smooth_gains(scores: Array, levels: Array, relevance: Array, shares: Array, scale: float, rule: Rule, step: Step,
                 far: Far, gains: Array) -> None:  # fmt: skip
    """Σ gain of every query under SmoothRank; arguments as for `sup_gains`."""
    depth, real = relevance.shape[1] - 1, scores.dtype.type
    width = places_for(scores.shape[1], depth)
    values, columns = np.empty(width, scores.dtype), np.empty(width, np.int32)
    offsets, frame = np.empty(depth + 2, np.int32), np.empty(3, scores.dtype)
    layout = Layout(values, columns, offsets, frame)
    near, slopes, grads = np.empty_like(values), np.empty_like(values), np.empty_like(values)
    shared, slope = np.zeros(depth + 1), np.zeros(depth + 1)
    for row in range(len(scores)):
        worth, share, total = relevance[row], shares[row], 0.0
        if share[0] == 0:
            scores[row], gains[row] = 0.0, 0.0
            continue
        pack(scores[row], levels[row], 1, far.tau, layout)
        grads[:] = 0.0
        fits = powers_of(values, int(offsets[-1]), frame, far.tau, far.spread, near)
        for own in range(1, depth + 1):
            _, item, stop = segment(offsets, own, 1)
            for place in range(item, stop):
                score = values[place]
                inverse = real(1) / near[place] if fits else real(0)
                # The item meets itself with σ(0) = 1/2, where 1 and rel(k) are due.
                rank, hrank = 0.5, 0.5 * worth[own]
                for level in range(depth + 1):
                    start, _, end = segment(offsets, level, 1)
                    smooth, slope[level] = visit(values, near, slopes, start, end, score, inverse, step)
                    shared[level] = min(worth[own], worth[level]) if level else 0.0
                    rank += smooth
                    hrank += smooth * shared[level]
                value, to_rank, to_hrank = gain(rule, share, own, rank, hrank)
                total += value
                for level in range(depth + 1):
                    start, _, end = segment(offsets, level, 1)
                    weight = -scale * (to_rank + shared[level] * to_hrank)
                    grads[place] -= real(weight * slope[level])
                    give_back(grads, slopes, start, end, real(weight))
        gains[row] = total
        _store(layout, grads, scores[row])
