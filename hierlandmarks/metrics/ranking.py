"""From the scores of one query to the ranks and levels of its relevant items, in numpy.

Order: score descending in float32, then position in the gallery ascending, so the outcome depends on nothing else. `−0.0` equals `0.0`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.metrics.relevance import Ints

Ties = Literal["position", "optimistic", "pessimistic"]
Scores = NDArray[np.float32]


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


def ordinals(scores: Scores) -> NDArray[np.uint32]:
    """Integers that rise as float32 scores fall, equal where scores are equal.

    >>> ordinals(np.array([1.0, 0.0, -0.0, -1.0], dtype=np.float32)).tolist()
    [1082130431, 2147483647, 2147483647, 3212836864]
    """
    bits = (scores + np.float32(0)).view(np.uint32)  # −0.0 + 0.0 is 0.0
    return np.where(bits >> 31 != 0, bits, bits ^ np.uint32(0x7FFFFFFF))


def rank(scores: Scores, levels: NDArray[np.uint8], skip: int = -1, ties: Ties = "position") -> Ranked:
    """Rank one query's gallery and keep the relevant items.

    Args:
        scores: G finite scores, higher is better.
        levels: G levels in 0 … L.
        skip: the row of the query itself, left out; −1 for none.
        ties: the order among equal scores: by position, the best level first, or the worst first.

    Complexity: one sort of G 64-bit integers, each a score, a position and a level, so nothing is gathered afterwards.
    """
    bits = np.uint64(max(1, int(levels.max(initial=0)).bit_length()))
    mask = (np.uint64(1) << bits) - np.uint64(1)
    if ties == "position":
        second = np.arange(len(scores), dtype=np.uint64)
    else:
        second = levels.astype(np.uint64) ^ (mask if ties == "optimistic" else np.uint64(0))
    key = (ordinals(scores).astype(np.uint64) << np.uint64(32)) | (second << bits) | levels
    if skip >= 0:
        key = np.delete(key, skip)
    key.sort()
    level = (key & mask).astype(np.uint8)
    same = (key[1:] >> np.uint64(32)) == (key[:-1] >> np.uint64(32))
    tied = bool((same & (level[1:] != level[:-1])).any())
    relevant = np.flatnonzero(level)
    return Ranked(relevant + 1, level[relevant], len(key), tied)
