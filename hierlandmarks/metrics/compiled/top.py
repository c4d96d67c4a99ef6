"""The first ranks of each query out of a stream of tiles: counting instead of sorting.

For each query a short list of candidates and a threshold are kept. A tile is read once for the maxima of its strands
(every 1040th score), which the processor takes many at a time; only strands whose maximum reaches the threshold are
looked at again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.metrics.compiled.jit import jit
from hierlandmarks.metrics.compiled.score import Cuts, score_top

STRANDS = 1040  # no power of two, so that the scores of a strand do not fall into one set of the cache
LOWEST = np.float32(-np.inf)

NOTHING = np.iinfo(np.int64).max  # the key of an empty place, after all others

Keys = NDArray[np.int64]
Scores = NDArray[np.float32]


@jit
def take_tile(
    scores: Scores,
    first: int,
    skip: NDArray[np.int64],
    wanted: NDArray[np.int64],
    keys: Keys,
    filled: NDArray[np.int64],
    threshold: Scores,
) -> bool:
    """Add what may belong to the top of each of B queries; False if a score is not finite.

    Args:
        scores: B × T, the tile of gallery rows `first` … `first` + T − 1.
        first: the tile's first gallery row; tiles come in order.
        skip: B rows of the query itself, −1 for none.
        wanted: B numbers of ranks that are needed.
        keys: B × room, at least twice `wanted`; the candidates: score falling as the upper half rises, then position.
        filled: B numbers of candidates.
        threshold: B scores; what is less cannot matter, −∞ before the first tile.
    """
    size = scores.shape[1]
    maxima = np.empty(min(size, STRANDS), np.float32)
    for i in range(len(scores)):
        if not _maxima(scores[i], maxima):
            return False
        if threshold[i] == LOWEST and len(maxima) > wanted[i] + 1:
            # that many strands reach this, so at least `wanted` scores do besides the query's own
            last = len(maxima) - wanted[i] - 1
            threshold[i] = np.partition(maxima, last)[last]
        for strand in range(len(maxima)):
            if maxima[strand] < threshold[i]:
                continue
            for at in range(strand, size, len(maxima)):
                if scores[i, at] >= threshold[i] and first + at != skip[i]:
                    keys[i, filled[i]] = _key(scores[i, at], first + at)
                    filled[i] += 1
                    if filled[i] == keys.shape[1]:
                        _keep_best(keys[i], filled[i : i + 1], threshold[i : i + 1], wanted[i])
        if filled[i] > wanted[i]:
            _keep_best(keys[i], filled[i : i + 1], threshold[i : i + 1], wanted[i])
    return True


@jit
def _maxima(scores: Scores, maxima: Scores) -> bool:
    """The maximum of every strand; False if a score is not finite."""
    strands = len(maxima)
    bits = scores.view(np.uint32)
    largest = np.uint32(0)
    maxima[:] = LOWEST
    for start in range(0, len(scores), strands):
        stop = min(start + strands, len(scores))
        _raise(maxima, scores[start:stop])
        for at in range(start, stop):
            largest = max(largest, np.uint32(bits[at] << np.uint32(1)))  # without the sign
    return bool(largest < np.uint32(0xFF000000))


@jit
def _raise(maxima: Scores, scores: Scores) -> None:
    for at in range(len(scores)):
        maxima[at] = scores[at] if scores[at] > maxima[at] else maxima[at]


@jit
def _key(score: np.float32, row: int) -> int:
    """Falls as the score rises, and rises with the row among equals."""
    bits = np.int32(np.float32(score + np.float32(0)).view(np.int32))  # −0.0 + 0.0 is 0.0
    ordinal = bits if bits >= 0 else bits ^ np.int32(0x7FFFFFFF)
    return int((np.int64(~ordinal) << 32) | row)


@jit
def _score(key: int) -> np.float32:
    """The score that a key was made of."""
    ordinal = np.int32(~(key >> 32))
    return np.int32(ordinal if ordinal >= 0 else ordinal ^ np.int32(0x7FFFFFFF)).view(np.float32)


@jit
def _keep_best(keys: Keys, filled: NDArray[np.int64], threshold: Scores, wanted: int) -> None:
    """Keep the best `wanted`, in any order; whatever scores less than the last of them cannot matter any more."""
    keys[: filled[0]] = np.partition(keys[: filled[0]], wanted - 1)
    filled[0] = wanted
    threshold[0] = _score(keys[wanted - 1])


@jit
def score_tops(
    keys: Keys,
    wanted: NDArray[np.int64],
    gallery: NDArray[np.int32],
    query: NDArray[np.int32],
    counts: NDArray[np.int64],
    table: NDArray[np.float64],
    cuts: Cuts,
    out: NDArray[np.float64],
    tied: NDArray[np.bool_],
) -> None:
    """Metrics of B queries from their candidates, after the last tile; arguments as in `take_tile` and `score_rows`."""
    room = keys.shape[1]
    records = np.empty(room, np.uint32)
    ranks, levels = np.empty(room, np.int32), np.empty(room, np.uint8)
    for i in range(len(keys)):
        keys[i].sort()
        n = min(np.searchsorted(keys[i], NOTHING), wanted[i])
        tied[i] = False
        for place in range(n):
            item = keys[i, place] & np.int64(0xFFFFFFFF)
            level = np.uint32(0)
            for p in range(len(gallery)):
                level += np.uint32(gallery[p, item] == query[i, p])
            records[place] = level
            if place and keys[i, place] >> 32 == keys[i, place - 1] >> 32 and level != records[place - 1]:
                tied[i] = True
        score_top(records[:n], counts[i], table, cuts, ranks, levels, out[i])
