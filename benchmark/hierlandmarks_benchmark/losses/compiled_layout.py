"""How the compiled backend lays out a query's references: by level, then by bucket of score, in groups of 16.

A *segment* holds the references of one level, in buckets of equal width of score, ascending. It begins at a multiple
of `LANES`; dummies of a very low score fill it up in front, where every surrogate step is 0. So loops over whole
groups need no mask, and all sums that can be known in advance are kept by group (`prefix_sums`). Between two groups
of a segment there is a *seam*; a segment of n groups has n + 1, and `seam` numbers them all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hierlandmarks_benchmark.losses.compiled_math import exp, jit, jit_strict

LANES = 16  # float32 numbers in the widest vector registers
TERMS = 5  # of the geometric series σ(x) = e^x − e^2x + e^3x − …
DUMMY_DROP = 800.0  # in units of τ below the lowest score: σ is 0 there even in float64
LARGEST_POWER = 650.0  # e^±650 stays within float64

Array = NDArray[Any]


class Layout(NamedTuple):
    """The references of one query, W places."""

    values: Array  # W: the scores
    columns: Array  # W int32: which reference; −1 for a dummy
    offsets: Array  # (L + 1)·buckets + 1 int32: the first item of each bucket, and the end
    frame: Array  # 3: lowest score, buckets a unit of score, highest score


@jit_strict
def places_for(count: int, depth: int) -> int:
    """W: places enough for count references of levels 0 … depth."""
    return -(-count // LANES) * LANES + LANES * (depth + 1)


@jit_strict
def bucket_of(score: float, frame: Array, buckets: int) -> int:
    """Bucket of a score; never decreasing in the score, and 0 … buckets − 1 for any score."""
    place = (score - frame[0]) * frame[1]
    return 0 if place <= 0 else min(int(place), buckets - 1)


@jit_strict
def segment(offsets: Array, level: int, buckets: int) -> tuple[int, int, int]:
    """Start of a level's segment, its first item behind the dummies, and its end."""
    item = int(offsets[level * buckets])
    end = int(offsets[(level + 1) * buckets])
    return item // LANES * LANES, item, end // LANES * LANES


@jit_strict
def bucket_span(offsets: Array, level: int, first: int, last: int, buckets: int) -> tuple[int, int]:
    """Where the buckets first … last of a level begin and end."""
    end = int(offsets[level * buckets + last + 1])
    return int(offsets[level * buckets + first]), end if last + 1 < buckets else end // LANES * LANES


@jit_strict
def seam(place: int, level: int) -> int:
    """Number of the seam before a place, which is a multiple of LANES within the level's segment or its end."""
    return place // LANES + level


@jit_strict
def pack(scores: Array, levels: Array, buckets: int, tau: float, layout: Layout) -> None:
    """Lay out the scores of one query, M, by levels, M int8; tau is the unit of DUMMY_DROP."""
    values, columns, starts, frame = layout
    low, high = scores.min(), scores.max()
    frame[0], frame[1], frame[2] = low, buckets / (high - low) if high > low else 0.0, high
    starts[:] = 0
    for column in range(scores.size):
        starts[levels[column] * buckets + bucket_of(scores[column], frame, buckets)] += 1
    _counts_to_starts(starts, buckets, low - DUMMY_DROP * tau, values, columns)
    cursor = starts.copy()
    for column in range(scores.size):
        key = levels[column] * buckets + bucket_of(scores[column], frame, buckets)
        place = cursor[key]
        cursor[key] = place + 1
        values[place] = scores[column]
        columns[place] = column


@jit_strict
def _counts_to_starts(starts: Array, buckets: int, dummy: float, values: Array, columns: Array) -> None:
    place = 0
    for level_start in range(0, starts.size - 1, buckets):
        dummies = -starts[level_start : level_start + buckets].sum() % LANES
        for _ in range(dummies):
            values[place] = dummy
            columns[place] = -1
            place += 1
        for key in range(level_start, level_start + buckets):
            size = starts[key]
            starts[key] = place
            place += size
    starts[-1] = place


@jit_strict
def summable(frame: Array, buckets: int, tau: float) -> bool:
    """Whether far references may be summed in advance: there are buckets, and no power overflows."""
    return buckets > 1 and bool(TERMS * (np.float64(frame[2]) - np.float64(frame[0])) / tau < LARGEST_POWER)


@jit
def prefix_sums(layout: Layout, buckets: int, tau: float, powers: Array, tails: Array, sums: Array) -> None:
    """What groups of one row add up to, level by level.

    Args:
        layout: the row, as `pack` fills it.
        buckets: a segment has.
        tau: temperature.
        powers: W float64: receives e^((s − highest)/τ).
        tails: seams × TERMS float64: receives Σ powers^n over the part of the segment before a seam.
        sums: seams float64: receives Σ s over the part of the segment behind a seam.
    """
    values, offsets, high = layout.values, layout.offsets, np.float64(layout.frame[2])
    for place in range(int(offsets[-1])):
        powers[place] = exp((np.float64(values[place]) - high) / tau)
    for level in range((offsets.size - 1) // buckets):
        start, _, end = segment(offsets, level, buckets)
        tails[seam(start, level)] = 0.0
        for group in range(start, end, LANES):
            before, behind = tails[seam(group, level)], tails[seam(group + LANES, level)]
            behind[:] = before
            for place in range(group, group + LANES):
                power = powers[place]
                for term in range(TERMS):
                    behind[term] += power
                    power *= powers[place]
        sums[seam(end, level)] = 0.0
        for group in range(end - LANES, start - 1, -LANES):
            total = sums[seam(group + LANES, level)]
            for place in range(group, group + LANES):
                total += values[place]
            sums[seam(group, level)] = total
