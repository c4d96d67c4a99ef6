"""One query's gallery in order of score: 32-bit records of (score, level), radix-sorted.

A record holds 2^29 ∓ the magnitude of the float32 score, as bits, above the level of the item, so that sorting
records sorts scores descending and a stable sort leaves equal scores in order of position. For three levels
magnitudes keep 29 of their 31 bits, which is exact over 64 powers of two below the largest score; a query that holds
a smaller score than that, other than 0, is left to the numpy path.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.metrics.compiled.jit import jit

Records = NDArray[np.uint32]

TILE = 2048  # records made at a time, so that they stay in the first cache

DONE, INEXACT, NOT_FINITE = 0, 1, 2


@jit
def make_records(
    scores: NDArray[np.float32],
    gallery: NDArray[np.int32],
    query: NDArray[np.int32],
    bits: int,
    flip: bool,
    out: Records,
) -> int:
    """Records of one query's scores; `flip` stores levels so that the best sorts first. Returns how it went."""
    magnitudes = scores.view(np.uint32)
    largest, smallest = np.uint32(0), np.uint32(0xFFFFFFFF)
    for i in range(len(scores)):
        doubled = np.uint32(magnitudes[i] << np.uint32(1))  # without the sign
        largest = max(largest, doubled)
        smallest = min(smallest, np.uint32(doubled - np.uint32(1)))  # 0 wraps to the top
    if largest >= np.uint32(0xFF000000):
        return NOT_FINITE
    base = max(int(largest >> np.uint32(1)) - ((1 << (31 - bits)) - 1), 0)
    if smallest != np.uint32(0xFFFFFFFF) and (int(smallest) + 1) >> 1 <= base:
        return INEXACT
    signed = scores.view(np.int32)
    for start in range(0, len(scores), TILE):
        stop = min(start + TILE, len(scores))
        _keys(signed[start:stop], np.int32(base), np.uint32(bits), out[start:stop])
        for level in range(len(query)):
            _add_level(out[start:stop], gallery[level, start:stop], query[level])
        if flip:
            _flip(out[start:stop], np.uint32((1 << bits) - 1))
    return DONE


@jit
def _keys(signed: NDArray[np.int32], base: np.int32, bits: np.uint32, out: Records) -> None:
    middle = np.int32(1 << np.int64(31 - np.int64(bits)))
    for i in range(len(signed)):
        bare = np.int32(np.int32(signed[i] & np.int32(0x7FFFFFFF)) - base)
        bare = max(bare, np.int32(0))
        key = np.int32(middle + bare) if signed[i] < np.int32(0) else np.int32(middle - bare)
        out[i] = np.uint32(key) << bits


@jit
def _add_level(out: Records, theirs: NDArray[np.int32], mine: np.int32) -> None:
    for i in range(len(out)):
        out[i] = np.uint32(out[i] + np.uint32(theirs[i] == mine))


@jit
def _flip(records: Records, mask: np.uint32) -> None:
    for i in range(len(records)):
        records[i] = np.uint32(records[i] ^ mask)


@jit
def sort_records(records: Records, spare: Records, first: int, flip: int) -> Records:
    """Sort by the bits from `first` up, stably, in three passes; returns `spare`, which then holds the result.

    Args:
        records: n records; overwritten.
        spare: room for n.
        first: the lowest bit that counts: above the level, so that ties keep their position, or 0.
        flip: mask that undoes `make_records`' flip.
    """
    width = (34 - first) // 3  # 32 bits in all
    size = 1 << width
    mask = np.uint32(size - 1)
    low, middle, high = np.uint32(first), np.uint32(first + width), np.uint32(first + 2 * width)
    ends = np.zeros((3, size), np.uint32)
    for i in range(len(records)):
        ends[0, (records[i] >> low) & mask] += np.uint32(1)
        ends[1, (records[i] >> middle) & mask] += np.uint32(1)
        ends[2, (records[i] >> high) & mask] += np.uint32(1)
    for digit in range(3):
        total = np.uint32(0)
        for value in range(size):
            here = ends[digit, value]
            ends[digit, value] = total
            total = np.uint32(total + here)
    _scatter(records, spare, ends[0], low, mask)
    _scatter(spare, records, ends[1], middle, mask)
    _scatter(records, spare, ends[2], high, mask)
    if flip:
        _flip(spare, np.uint32(flip))
    return spare


@jit
def _scatter(source: Records, target: Records, ends: NDArray[np.uint32], shift: np.uint32, mask: np.uint32) -> None:
    for i in range(len(source)):
        record = source[i]
        digit = (record >> shift) & mask
        target[ends[digit]] = record
        ends[digit] += np.uint32(1)


@jit
def ties_between_levels(records: Records, bits: int) -> bool:
    """Whether sorted records of equal score have different levels."""
    below = np.uint32((1 << bits) - 1)
    touched = np.uint32(0)
    for i in range(1, len(records)):
        changed = np.uint32(records[i] ^ records[i - 1])
        touched |= np.uint32(np.uint32(changed - np.uint32(1)) < below)  # 0 wraps to the top
    return bool(touched != 0)
