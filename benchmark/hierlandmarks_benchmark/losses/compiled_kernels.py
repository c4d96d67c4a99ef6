"""The loops of the compiled backend: ranks of a query's positives, and the gradient of its scores.

For a positive k and a lower level only the references with −tail·τ < t ≤ δ, rounded out to whole groups, are visited.
Above them H⁻ is linear, below them σ is a short geometric series; both are sums that are known in advance
(`compiled_layout.prefix_sums`), and their gradients are collected by seam and added up once a query. With one bucket
every reference is visited: that is what a few positives, or the smooth surrogate, want.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hierlandmarks_benchmark.losses.compiled_layout import (
    LANES,
    TERMS,
    Array,
    Layout,
    bucket_of,
    bucket_span,
    prefix_sums,
    seam,
    segment,
    summable,
)
from hierlandmarks_benchmark.losses.compiled_math import exp, jit, jit_strict, sigmoid, sigmoid_slope

LARGEST = 1e18  # of a power: σ is 1 there in any type, and its square is still a float32


class Step(NamedTuple):
    """A surrogate step in the scores' own type: σ(min(t, δ)/τ) + start·[t > 0] + (ρ(t − δ) + jump)·[t > δ]."""

    rate: float  # 1/τ
    delta: float
    rho: float
    start: float
    jump: float
    plateau: float  # σ(δ/τ)


class Far(NamedTuple):
    """The same step in float64, for what is not visited."""

    tau: float
    delta: float
    rho: float
    offset: float  # value just beyond δ
    tail: float  # t ≤ −tail goes by the series
    spread: float  # of the scores, in τ, up to which their powers fit their type


@jit
def powers_of(values: Array, end: int, frame: Array, far: Far, powers: Array) -> bool:
    """Fill powers with e^((value − middle)/τ), rounded once from float64, unless they spread too far for their type."""
    low, high = np.float64(frame[0]), np.float64(frame[2])
    if (high - low) / far.tau > far.spread:
        return False
    for place in range(np.uintp(end)):
        powers[place] = exp((np.float64(values[place]) - (low + high) / 2) / far.tau)
    return True


@jit
def inverse_of(score: float, frame: Array, far: Far) -> float:
    """Factor that makes powers e^((value − score)/τ)."""
    return math.exp(((np.float64(frame[0]) + np.float64(frame[2])) / 2 - np.float64(score)) / far.tau)


@jit
def near_sum(values: Array, powers: Array, first: int, last: int, score: float, inverse: float, step: Step) -> float:
    """Σ step(values − score) over first … last − 1.

    With an inverse that is not 0, e^(t/τ) is power · inverse, a product in place of an exponential.
    """
    real = values.dtype.type
    zero, one, largest = real(0), real(1), real(LARGEST)
    limit = score + step.delta
    total = zero
    # Unsigned, here and below: numba then leaves out the wrap-around of negative indices, which hinders vector code.
    span = np.uintp(first), np.uintp(last)
    if inverse:
        for place in range(span[0], span[1]):
            value = values[place]
            power = min(powers[place] * inverse, largest)
            total += power / (one + power) if value <= limit else step.plateau
            total += step.start if value > score else zero
            total += step.rho * (value - score - step.delta) + step.jump if value > limit else zero
        return np.float64(total)
    for place in range(span[0], span[1]):
        value = values[place]
        total += sigmoid((value - score) * step.rate) if value <= limit else step.plateau
        total += step.start if value > score else zero
        total += step.rho * (value - score - step.delta) + step.jump if value > limit else zero
    return np.float64(total)


@jit
def near_pull(values: Array, powers: Array, grads: Array, first: int, last: int, score: float, inverse: float,
              weight: float, step: Step) -> float:  # fmt: skip
    """Add weight · slope of the step to grads over first … last − 1; return Σ slope. Inverse as for `near_sum`."""
    real = values.dtype.type
    one, largest = real(1), real(LARGEST)
    limit = score + step.delta
    total = real(0)
    span = np.uintp(first), np.uintp(last)
    if inverse:
        for place in range(span[0], span[1]):
            power = min(powers[place] * inverse, largest)
            rest = one / (one + power)
            slope = step.rate * power * rest * rest if values[place] <= limit else step.rho
            total += slope
            grads[place] += weight * slope
        return np.float64(total)
    for place in range(span[0], span[1]):
        slope = step.rate * sigmoid_slope((values[place] - score) * step.rate) if values[place] <= limit else step.rho
        total += slope
        grads[place] += weight * slope
    return np.float64(total)


@jit
def count_from(values: Array, first: int, last: int, score: float) -> int:
    """How many of the values first … last − 1 are at least score."""
    total = 0
    for place in range(np.uintp(first), np.uintp(last)):
        total += values[place] >= score
    return total


@jit_strict
def window(offsets: Array, frame: Array, level: int, buckets: int, low: float, high: float) -> tuple[int, int]:
    """Whole groups of a level that hold every score from low to high."""
    first, last = bucket_span(offsets, level, bucket_of(low, frame, buckets), bucket_of(high, frame, buckets), buckets)
    return first // LANES * LANES, -(-last // LANES) * LANES


@jit
def sup_ranks(layout: Layout, relevance: Array, step: Step, far: Far, rank: Array, hrank: Array) -> None:
    """SupRank and H-rank of the positives of every row; other entries stay as they are.

    Args:
        layout: as `pack` fills it.
        relevance: b × (L + 1) float64.
        step: H⁻ near the positive; far: elsewhere.
        rank: b × M float64, receives; hrank likewise.
    """
    depth = relevance.shape[1] - 1
    buckets = (layout.offsets.shape[1] - 1) // (depth + 1)
    width = layout.values.shape[1]
    powers, tails = np.empty(width), np.empty((width // LANES + depth + 2, TERMS))
    sums = np.empty(width // LANES + depth + 2)
    real = layout.values.dtype.type
    reach, near = real(far.tail), np.empty(width, layout.values.dtype)
    for row in range(len(layout.values)):
        values, offsets, frame = layout.values[row], layout.offsets[row], layout.frames[row]
        high = np.float64(frame[2])
        fits = powers_of(values, int(offsets[-1]), frame, far, near)
        ahead = summable(frame, buckets, far.tau)
        if ahead:
            prefix_sums(values, offsets, buckets, high, far.tau, powers, tails, sums)
        for own in range(1, depth + 1):
            _, item, stop = segment(offsets, own, buckets)
            for place in range(item, stop):
                score = values[place]
                bucket = bucket_of(score, frame, buckets)
                its_rank, its_hrank = 0.0, 0.0
                for level in range(1, depth + 1):
                    _, _, end = segment(offsets, level, buckets)
                    start, behind = bucket_span(offsets, level, bucket, bucket, buckets)
                    # The item counts itself here, which is the 1 of its rank and the rel(k) of its H-rank.
                    above = end - behind + count_from(values, start, behind, score)
                    its_hrank += above * min(relevance[row, own], relevance[row, level])
                    its_rank += above if level >= own else 0
                inverse = real(inverse_of(score, frame, far)) if fits else real(0)
                if not ahead:  # the segments of all lower levels lie side by side
                    its_rank += near_sum(values, near, 0, item // LANES * LANES, score, inverse, step)
                factor = math.exp((high - np.float64(score)) / far.tau) if ahead else 0.0
                for level in range(own if ahead else 0):
                    _, _, end = segment(offsets, level, buckets)
                    low, behind = window(offsets, frame, level, buckets, score - reach, score + step.delta)
                    its_rank += near_sum(values, near, low, behind, score, inverse, step)
                    series = 0.0
                    for term in range(TERMS - 1, -1, -1):
                        series = factor * (tails[seam(low, level), term] - series)
                    its_rank += series
                    above = end - behind
                    its_rank += far.rho * (sums[seam(behind, level)] - above * (np.float64(score) + far.delta))
                    its_rank += above * far.offset
                rank[row, layout.columns[row, place]] = its_rank
                hrank[row, layout.columns[row, place]] = its_hrank


@jit
def sup_pull(layout: Layout, weights: Array, step: Step, far: Far, grad: Array, depth: int) -> None:
    """Gradient of Σ weights · SupRank with respect to the scores.

    Args:
        layout: and step, far: as for `sup_ranks`.
        weights: b × M float64, d loss/d rank; read where the level is at least 1.
        grad: b × M, receives.
        depth: L.
    """
    buckets = (layout.offsets.shape[1] - 1) // (depth + 1)
    width = layout.values.shape[1]
    powers, tails = np.empty(width), np.empty((width // LANES + depth + 2, TERMS))
    sums = np.empty(width // LANES + depth + 2)
    rises, series = np.empty_like(sums), np.empty_like(tails)
    grads = np.empty(width, layout.values.dtype)
    real = layout.values.dtype.type
    reach, near = real(far.tail), np.empty(width, layout.values.dtype)
    for row in range(len(layout.values)):
        values, offsets, frame = layout.values[row], layout.offsets[row], layout.frames[row]
        high = np.float64(frame[2])
        grads[:], rises[:], series[:] = 0.0, 0.0, 0.0
        fits = powers_of(values, int(offsets[-1]), frame, far, near)
        ahead = summable(frame, buckets, far.tau)
        if ahead:
            prefix_sums(values, offsets, buckets, high, far.tau, powers, tails, sums)
        for own in range(1, depth + 1):
            _, item, stop = segment(offsets, own, buckets)
            for place in range(item, stop):
                score = values[place]
                weight = weights[row, layout.columns[row, place]]
                factor = math.exp((high - np.float64(score)) / far.tau) if ahead else 0.0
                inverse = real(inverse_of(score, frame, far)) if fits else real(0)
                slopes = 0.0
                if not ahead:
                    slopes += near_pull(
                        values, near, grads, 0, item // LANES * LANES, score, inverse, real(weight), step
                    )
                for level in range(own if ahead else 0):
                    _, _, end = segment(offsets, level, buckets)
                    low, behind = window(offsets, frame, level, buckets, score - reach, score + step.delta)
                    slopes += near_pull(values, near, grads, low, behind, score, inverse, real(weight), step)
                    slopes += far.rho * (end - behind)
                    rises[seam(behind, level)] += weight * far.rho
                    at, power = seam(low, level), 1.0 / far.tau
                    for term in range(TERMS):
                        power *= -factor if term else factor
                        slopes += (term + 1) * power * tails[at, term]
                        series[at, term] += (term + 1) * power * weight
                grads[place] -= real(weight * slopes)
        if ahead:
            _spread(offsets, buckets, powers, rises, series, grads)
        for place in range(int(offsets[-1])):
            if layout.columns[row, place] >= 0:
                grad[row, layout.columns[row, place]] = grads[place]


@jit
def _spread(offsets: Array, buckets: int, powers: Array, rises: Array, series: Array, grads: Array) -> None:
    """Give every place what the seams before it (linear part) and behind it (series) have collected."""
    for level in range((offsets.size - 1) // buckets):
        start, _, end = segment(offsets, level, buckets)
        rise = 0.0
        for group in range(start, end, LANES):
            rise += rises[seam(group, level)]
            for place in range(group, group + LANES):
                grads[place] += rise
        for group in range(end - LANES, start - 1, -LANES):
            behind, before = series[seam(group + LANES, level)], series[seam(group, level)]
            for place in range(group, group + LANES):
                total = 0.0
                for term in range(TERMS - 1, -1, -1):
                    total = powers[place] * (behind[term] + total)
                grads[place] += total
            before += behind


@jit
def smooth_ranks(layout: Layout, relevance: Array, step: Step, rank: Array, hrank: Array) -> None:
    """Smooth rank and H-rank of the positives of every row; arguments as for `sup_ranks`."""
    depth, never = relevance.shape[1] - 1, layout.values.dtype.type(0)
    for row in range(len(layout.values)):
        values, offsets = layout.values[row], layout.offsets[row]
        for own in range(1, depth + 1):
            _, item, stop = segment(offsets, own, 1)
            for place in range(item, stop):
                # The item meets itself with σ(0) = 1/2, where 1 and rel(k) are due.
                its_rank, its_hrank = 0.5, 0.5 * relevance[row, own]
                for level in range(depth + 1):
                    start, _, end = segment(offsets, level, 1)
                    smooth = near_sum(values, values, start, end, values[place], never, step)
                    its_rank += smooth
                    its_hrank += smooth * min(relevance[row, own], relevance[row, level]) if level else 0.0
                rank[row, layout.columns[row, place]] = its_rank
                hrank[row, layout.columns[row, place]] = its_hrank


@jit
def smooth_pull(layout: Layout, relevance: Array, weights: Array, hweights: Array, step: Step, grad: Array) -> None:
    """Gradient of Σ weights · rank + hweights · hrank; arguments as for `smooth_ranks` and `sup_pull`."""
    depth = relevance.shape[1] - 1
    grads = np.empty(layout.values.shape[1], layout.values.dtype)
    real = layout.values.dtype.type
    never = real(0)
    for row in range(len(layout.values)):
        values, columns, offsets = layout.values[row], layout.columns[row], layout.offsets[row]
        grads[:] = 0.0
        for own in range(1, depth + 1):
            _, item, stop = segment(offsets, own, 1)
            for place in range(item, stop):
                column = columns[place]
                for level in range(depth + 1):
                    start, _, end = segment(offsets, level, 1)
                    shared = min(relevance[row, own], relevance[row, level]) if level else 0.0
                    weight = weights[row, column] + shared * hweights[row, column]
                    slopes = near_pull(values, values, grads, start, end, values[place], never, real(weight), step)
                    grads[place] -= real(weight * slopes)
        for place in range(int(offsets[-1])):
            if columns[place] >= 0:
                grad[row, columns[place]] = grads[place]
