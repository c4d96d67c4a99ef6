"""A block of queries: records, sort, score, one after the other in buffers that are used again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.metrics.compiled.jit import jit
from hierlandmarks.metrics.compiled.score import Cuts, bits_of, score
from hierlandmarks.metrics.compiled.sort import make_records, sort_records, ties_between_levels

POSITION, OPTIMISTIC, PESSIMISTIC = 0, 1, 2


@jit
def score_rows(
    scores: NDArray[np.float32],
    gallery: NDArray[np.int32],
    query: NDArray[np.int32],
    skip: NDArray[np.int64],
    counts: NDArray[np.int64],
    relevance: NDArray[np.float64],
    table: NDArray[np.float64],
    cuts: Cuts,
    ties: int,
    out: NDArray[np.float64],
    tied: NDArray[np.bool_],
    status: NDArray[np.uint8],
) -> None:
    """Metrics of B queries.

    Args:
        scores: B × G.
        gallery: L × G path codes.
        query: B × L path codes.
        skip: B rows of the query itself, −1 for none.
        counts: B × (L + 1), items of each exact level.
        relevance: B × (L + 1).
        table: from `tables`.
        cuts: see `score`.
        ties: 0 by position, 1 the best level first, 2 the worst.
        out: B × C.
        tied: B.
        status: B, see `sort`; where it is not 0, the other outputs are not written.
    """
    depth, size = gallery.shape
    bits = bits_of(depth)
    flip = (1 << bits) - 1 if ties == OPTIMISTIC else 0
    records, spare = np.empty(size, np.uint32), np.empty(size, np.uint32)
    ranks, levels = np.empty(size, np.int32), np.empty(size, np.uint8)
    for i in range(len(scores)):
        status[i] = make_records(scores[i], gallery, query[i], bits, flip != 0, records)
        if status[i] != 0:
            continue
        n = size
        if skip[i] >= 0:
            n -= 1
            records[skip[i] : n] = records[skip[i] + 1 : size]
        done = sort_records(records[:n], spare[:n], bits if ties == POSITION else 0, flip)
        tied[i] = ties_between_levels(done, bits)
        score(done, counts[i], relevance[i], table, cuts, ranks, levels, out[i])
