"""SupRank of one query against many references: most of them are not visited but summed in advance.

For a positive k and a lower level only the references with −tail·τ < t ≤ δ, rounded out to whole groups, are visited.
Above them H⁻ is linear, below them σ is a short geometric series; both are sums that are known in advance
(`compiled_layout.prefix_sums`), and their gradients are collected by seam and added up once a query.
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
    seam,
    segment,
)
from hierlandmarks_benchmark.losses.compiled_math import jit, jit_strict
from hierlandmarks_benchmark.losses.compiled_step import Step, give_back, visit


class Far(NamedTuple):
    """The surrogate step in float64, for what is not visited."""

    tau: float
    delta: float
    rho: float
    offset: float  # value just beyond δ
    tail: float  # t ≤ −tail goes by the series
    spread: float  # of the scores, in τ, up to which their powers fit their type


class Sums(NamedTuple):
    """What `prefix_sums` knows of a query, and what is collected for its gradient."""

    powers: Array  # W
    tails: Array  # seams × TERMS
    behind: Array  # seams: Σ score of the segment behind
    rises: Array  # seams: collects Σ weight · ρ
    series: Array  # seams × TERMS: collects Σ weight · slope of the series
    windows: Array  # (L + 1) × 2: of the positive at hand


@jit
def new_sums(width: int, depth: int) -> Sums:
    """Room for one query of `width` places and levels 0 … depth."""
    seams = width // LANES + depth + 2
    return Sums(
        np.empty(width),
        np.empty((seams, TERMS)),
        np.empty(seams),
        np.empty(seams),
        np.empty((seams, TERMS)),
        np.empty((depth + 1, 2), np.int64),
    )


@jit_strict
def _window(offsets: Array, frame: Array, level: int, buckets: int, low: float, high: float) -> tuple[int, int]:
    """Whole groups of a level that hold every score from low to high."""
    first, last = bucket_span(offsets, level, bucket_of(low, frame, buckets), bucket_of(high, frame, buckets), buckets)
    return first // LANES * LANES, -(-last // LANES) * LANES


@jit
def far_rank(layout: Layout, near: Array, slopes: Array, sums: Sums, own: int, buckets: int, score: float,
             inverse: float, step: Step, far: Far) -> tuple[float, float]:  # fmt: skip
    """Σ step over the references of lower level than `own`, and Σ slope; leaves windows and slopes for `far_pull`."""
    values, offsets, frame = layout.values, layout.offsets, layout.frame
    reach, wide = values.dtype.type(far.tail), np.float64(score)
    factor = math.exp((np.float64(frame[2]) - wide) / far.tau)
    rank, total_slope = 0.0, 0.0
    for level in range(own):
        _, _, end = segment(offsets, level, buckets)
        low, behind = _window(offsets, frame, level, buckets, score - reach, score + step.delta)
        sums.windows[level, 0], sums.windows[level, 1] = low, behind
        visited, visited_slope = visit(values, near, slopes, low, behind, score, inverse, step)
        at, power = seam(low, level), factor / far.tau
        series, series_slope = 0.0, 0.0
        for term in range(TERMS - 1, -1, -1):
            series = factor * (sums.tails[at, term] - series)
        for term in range(TERMS):
            series_slope += (term + 1) * power * sums.tails[at, term]
            power *= -factor
        above = end - behind
        rank += visited + series + above * far.offset
        rank += far.rho * (sums.behind[seam(behind, level)] - above * (wide + far.delta))
        total_slope += visited_slope + series_slope + far.rho * above
    return rank, total_slope


@jit
def far_pull(layout: Layout, grads: Array, slopes: Array, sums: Sums, own: int, score: float, weight: float,
             far: Far) -> None:  # fmt: skip
    """Add weight · slope to the references that `far_rank` has visited; collect it at the seams for the rest."""
    factor = math.exp((np.float64(layout.frame[2]) - np.float64(score)) / far.tau)
    for level in range(own):
        low, behind = sums.windows[level, 0], sums.windows[level, 1]
        give_back(grads, slopes, low, behind, grads.dtype.type(weight))
        sums.rises[seam(behind, level)] += weight * far.rho
        at, power = seam(low, level), weight * factor / far.tau
        for term in range(TERMS):
            sums.series[at, term] += (term + 1) * power
            power *= -factor


@jit
def spread(offsets: Array, buckets: int, sums: Sums, grads: Array) -> None:
    """Give every place what the seams before it (linear part) and behind it (series) have collected."""
    for level in range((offsets.size - 1) // buckets):
        start, _, end = segment(offsets, level, buckets)
        rise = 0.0
        for group in range(start, end, LANES):
            rise += sums.rises[seam(group, level)]
            for place in range(group, group + LANES):
                grads[place] += rise
        for group in range(end - LANES, start - 1, -LANES):
            behind, before = sums.series[seam(group + LANES, level)], sums.series[seam(group, level)]
            for place in range(group, group + LANES):
                total = 0.0
                for term in range(TERMS - 1, -1, -1):
                    total = sums.powers[place] * (behind[term] + total)
                grads[place] += total
            before += behind
