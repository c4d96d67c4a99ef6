"""The first ranks of each query out of a stream of tiles: counting instead of sorting.

For each query a short list of candidates and a threshold are kept. A tile is read once for the maxima of its chunks,
which the processor does many at a time; only chunks whose maximum reaches the threshold are looked at again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.metrics.compiled.jit import jit
from hierlandmarks.metrics.compiled.score import Cuts, score_top

CHUNK = 32
LOWEST = np.int32(-(2**31))

Keys = NDArray[np.int64]
Ordinals = NDArray[np.int32]


@jit
def take_tile(
    scores: NDArray[np.float32],
    first: int,
    skip: NDArray[np.int64],
    wanted: NDArray[np.int64],
    keys: Keys,
    filled: NDArray[np.int64],
    threshold: Ordinals,
) -> bool:
    """Add what may belong to the top of each of B queries; False if a score is not finite.

    Args:
        scores: B × T, the tile of gallery rows `first` … `first` + T − 1.
        first: the tile's first gallery row; tiles come in order.
        skip: B rows of the query itself, −1 for none.
        wanted: B numbers of ranks that are needed.
        keys: B × room, at least twice `wanted`; the candidates: score falling as the upper half rises, then position.
        filled: B numbers of candidates.
        threshold: B ordinals of the least score that can still matter.
    """
    size = scores.shape[1]
    ordinals = np.empty(size, np.int32)
    maxima = np.empty(-(-size // CHUNK), np.int32)
    for i in range(len(scores)):
        if not _chunk_maxima(scores[i].view(np.int32), ordinals, maxima):
            return False
        if threshold[i] == LOWEST and filled[i] == 0 and len(maxima) > wanted[i] + 1:
            # that many chunks reach this, so at least `wanted` scores do besides the query's own
            threshold[i] = np.sort(maxima)[len(maxima) - wanted[i] - 1]
        for chunk in range(len(maxima)):
            if maxima[chunk] < threshold[i]:
                continue
            for at in range(chunk * CHUNK, min((chunk + 1) * CHUNK, size)):
                if ordinals[at] >= threshold[i] and first + at != skip[i]:
                    keys[i, filled[i]] = (np.int64(~ordinals[at]) << 32) | (first + at)
                    filled[i] += 1
                    if filled[i] == keys.shape[1]:
                        _compact(keys[i], filled[i : i + 1], threshold[i : i + 1], wanted[i])
    return True


@jit
def _chunk_maxima(bits: Ordinals, ordinals: Ordinals, maxima: Ordinals) -> bool:
    """Ordinals that rise with the score, and their maxima by chunk; False if a score is not finite."""
    largest = np.uint32(0)
    for at in range(len(bits)):
        sign = np.int32(bits[at] >> np.int32(31))
        ordinals[at] = np.int32(np.int32(bits[at] ^ np.int32(sign & np.int32(0x7FFFFFFF))) - sign)  # −0.0 is 0.0
        largest = max(largest, np.uint32(np.uint32(bits[at]) << np.uint32(1)))
    for chunk in range(len(maxima)):
        best = LOWEST
        for at in range(chunk * CHUNK, min((chunk + 1) * CHUNK, len(bits))):
            best = max(best, ordinals[at])
        maxima[chunk] = best
    return bool(largest < np.uint32(0xFF000000))


@jit
def _compact(keys: Keys, filled: NDArray[np.int64], threshold: Ordinals, wanted: int) -> None:
    """Keep the best `wanted`; what comes later has to be better than the last, for ties go to who came first."""
    keys[: filled[0]].sort()
    filled[0] = wanted
    threshold[0] = np.int32(~(keys[wanted - 1] >> 32)) + 1


@jit
def score_tops(
    keys: Keys,
    filled: NDArray[np.int64],
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
        keys[i, : filled[i]].sort()
        n = min(filled[i], wanted[i])
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
