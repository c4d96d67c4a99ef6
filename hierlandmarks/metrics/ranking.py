"""From the scores of one query to the ranks and levels of its relevant items, in numpy.

Order: score descending in float32, then position in the gallery ascending, so the outcome depends on nothing else.
`−0.0` equals `0.0`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.metrics.relevance import Ints

Ties = Literal["position", "optimistic", "pessimistic"]
Scores = NDArray[np.float32]

HIGH = int(sys.byteorder == "little")  # which half of an int64 is the upper one


@dataclass(frozen=True)
class Ranked:
    """The relevant items of one query.

    Attributes:
        ranks: n ranks from 1, ascending.
        levels: n levels in 1 … L.
        size: items in the whole ranking, the query itself left out.
        tied: whether items of different level share a score, so that ties touch the metrics.
    """

    ranks: Ints
    levels: NDArray[np.uint8]
    size: int
    tied: bool = False


def ordinals(scores: Scores) -> NDArray[np.int32]:
    """Integers that rise as float32 scores fall, equal where scores are equal.

    >>> ordinals(np.array([1.0, 0.0, -0.0, -1.0], dtype=np.float32)).tolist()
    [-1065353217, -1, -1, 1065353216]
    """
    bits = (scores + np.float32(0)).view(np.int32)  # −0.0 + 0.0 is 0.0
    bits ^= (bits >> 31) & 0x7FFFFFFF  # the magnitude of negative numbers counts down
    return np.invert(bits, out=bits)


@lru_cache(maxsize=4)
def _positions(size: int, shift: int) -> NDArray[np.int64]:
    """0 … `size` − 1, shifted left; shared between calls, so not writable."""
    table = np.arange(size, dtype=np.int64) << shift
    table.setflags(write=False)
    return table


def rank(
    scores: Scores, levels: NDArray[np.uint8], skip: int = -1, ties: Ties = "position", top: int | None = None
) -> Ranked:
    """Rank one query's gallery and keep the relevant items.

    Args:
        scores: G finite scores, higher is better.
        levels: G levels in 0 … L.
        skip: the row of the query itself, left out; −1 for none.
        ties: the order among equal scores: by position, the best level first, or the worst first.
        top: how many of the first ranks to look for ties in; all by default.

    Complexity: one sort of G 64-bit integers, each a score, a position and a level, so nothing is gathered afterwards.
    """
    bits = max(1, int(levels.max(initial=0)).bit_length())
    mask = (1 << bits) - 1
    key = ordinals(scores).astype(np.int64)
    key <<= 32
    if ties == "position":
        key |= _positions(len(scores), bits)
    else:
        key |= (levels.astype(np.int64) ^ (mask if ties == "optimistic" else 0)) << bits
    key |= levels
    if skip >= 0:
        key = np.delete(key, skip)
    key.sort()
    level = (key.astype(np.uint8)) & np.uint8(mask)
    high, first = key.view(np.int32)[HIGH::2][:top], level[:top]
    tied = bool(((high[1:] == high[:-1]) & (first[1:] != first[:-1])).any())
    relevant = np.flatnonzero(level)
    return Ranked(relevant + 1, level[relevant], len(key), tied)
