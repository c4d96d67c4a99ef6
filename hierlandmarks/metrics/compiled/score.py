"""Every metric of one query at once, from its sorted records: what `columns.row` computes metric by metric.

Two identities make it fast. Σ C_q(k)/rank(k) over the items k of level ≥ p, with C_q(k) the items of level ≥ q at or
above k, gives AP where p = q, and H-AP under any relevance as a weighted sum of the L × L products. And Σ c(n)/n
over n = u … v, for a count c that rises by one at known ranks, is a sum of differences of harmonic numbers, which
gives ASI without a pass over the ranks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.metrics.compiled.jit import jit
from hierlandmarks.metrics.compiled.sort import Records

F = NDArray[np.float64]
I = NDArray[np.int64]  # noqa: E741
Cuts = tuple[I, I, I, I, I]

INVERSE, HARMONIC, DISCOUNT, DISCOUNTED = 0, 1, 2, 3


def tables(size: int) -> F:
    """4 × (size + 2) tables by rank r: 1/r, Σ_{n<r} 1/n, 1/log2(1 + r), and the sum of the last up to and with r."""
    r = np.arange(size + 2, dtype=np.float64)
    inverse = np.divide(1.0, r, out=np.zeros(size + 2), where=r > 0)
    harmonic = np.concatenate(([0.0], np.cumsum(inverse)[:-1]))
    discount = np.divide(1.0, np.log2(1.0 + r), out=np.zeros(size + 2), where=r > 0)
    return np.stack((inverse, harmonic, discount, np.cumsum(discount)))


@jit
def score(
    records: Records,
    counts: I,
    relevance: F,
    table: F,
    cuts: Cuts,
    ranks: NDArray[np.int32],
    levels: NDArray[np.uint8],
    out: F,
) -> None:
    """One query's metrics, in the order of the columns of a `Plan` with everything in it.

    Args:
        records: the sorted records.
        counts: L + 1, items of each exact level.
        relevance: L + 1, of each level.
        table: from `tables`.
        cuts: of ndcg_at, tree_distance_at, map_at, recall_at, precision_at.
        ranks: room for as many as there are records.
        levels: likewise.
        out: where they go.
    """
    depth = len(counts) - 1
    mask = np.uint32(255 >> (8 - bits_of(depth)))
    total = np.sum(counts[1:])
    pair = np.zeros((depth + 2, depth + 2))
    n = _relevant(records, mask, ranks, levels)
    common = 0.0
    first = 3 + len(cuts[0]) + len(cuts[1])
    width = 3 + len(cuts[2]) + len(cuts[3]) + len(cuts[4])
    for level in range(1, depth + 1):
        better, here = int(np.sum(counts[level + 1 :])), int(counts[level])
        turn, before = _room_binds(records, mask, level, better, here, table[INVERSE])
        at = first + (depth - level) * width
        row = out[at : at + width]
        _cut_metrics(ranks[:n], better + here, table[INVERSE], cuts, row)
        n, after = _level(level, ranks[:n], levels, better, here, turn, table, pair, row)
        common += before + after
    out[0] = _h_ap(pair, counts, relevance)
    out[2] = common / total if total else np.nan
    _near_the_top(records, mask, counts, table, cuts, out)


@jit
def score_top(
    records: Records,
    counts: I,
    table: F,
    cuts: Cuts,
    ranks: NDArray[np.int32],
    levels: NDArray[np.uint8],
    out: F,
) -> None:
    """The metrics that the first ranks decide, from the records of those ranks, where `score` has them."""
    depth = len(counts) - 1
    mask = np.uint32(255 >> (8 - bits_of(depth)))
    first = 3 + len(cuts[0]) + len(cuts[1])
    width = 3 + len(cuts[2]) + len(cuts[3]) + len(cuts[4])
    n = _relevant(records, mask, ranks, levels)
    for level in range(1, depth + 1):
        kept = 0
        for i in range(n):
            ranks[kept], levels[kept] = ranks[i], levels[i]
            kept += int(levels[i] >= level)
        n = kept
        at = first + (depth - level) * width
        positives = int(np.sum(counts[level:]))
        total = _precision_sum(ranks[:n], positives, table[INVERSE])
        out[at + 2] = total / positives if positives else np.nan
        _cut_metrics(ranks[:n], positives, table[INVERSE], cuts, out[at : at + width])
    _near_the_top(records, mask, counts, table, cuts, out)


@jit
def bits_of(depth: int) -> int:
    """The bits that hold a level 0 … `depth`."""
    bits = 1
    while depth >> bits:
        bits += 1
    return bits


@jit
def _relevant(records: Records, mask: np.uint32, ranks: NDArray[np.int32], levels: NDArray[np.uint8]) -> int:
    """Ranks and levels of the records of level ≥ 1; returns how many."""
    n = 0
    for i in range(len(records)):
        level = np.uint8(records[i] & mask)
        ranks[n] = i + 1  # written over where it is not relevant: no branch to mispredict
        levels[n] = level
        n += int(level != 0)
    return n


@jit
def _room_binds(records: Records, mask: np.uint32, level: int, better: int, here: int, inverse: F) -> tuple[int, float]:
    """ASI of one level of the ideal order, which fills its ranks better + 1 … better + here, up to a turn.

    SI(n)·n = c_{>level}(n) + min(c_level(n), n − better). At first the room n − better is the smaller of the two,
    and from the turn on what was found; there is one turn, for n − better − c_level(n) never falls.

    Returns:
        The first rank after the turn, and Σ SI(n) before it.
    """
    others, above, total = -better, 0, 0.0
    for n in range(1, better + here + 1):
        found = np.int64(records[n - 1] & mask)
        others += int(found != level)
        above += int(found > level)
        if n > better:
            if others >= 0:
                return n, total
            total += (above + n - better) * inverse[n]
    return better + here + 1, total


@jit
def _level(
    level: int,
    ranks: NDArray[np.int32],
    levels: NDArray[np.uint8],
    better: int,
    here: int,
    turn: int,
    table: F,
    pair: F,
    out: F,
) -> tuple[int, float]:
    """AP, AP#l and mAP@R of one level, its products with the others, and its ASI after the turn.

    Keeps in `ranks` and `levels` the items of higher level, for the next call.

    Returns:
        How many those are, and Σ SI(n) from `turn` on.
    """
    inverse, harmonic = table[INVERSE], table[HARMONIC]
    positives = better + here
    inside = np.searchsorted(ranks, positives, side="right")
    precision, exclusive, weight, spent, kept = 0.0, 0.0, 0.0, 0.0, 0
    for part in range(2):
        for i in range(0 if part == 0 else inside, inside if part == 0 else len(ranks)):
            rank = np.int64(ranks[i])
            w = inverse[rank]
            precision += (i + 1) * w
            if part == 0:
                spent += harmonic[max(rank, turn)]
            if levels[i] > level:
                for other in range(level + 1, levels[i] + 1):
                    pair[other, level] += (i + 1) * w
                    pair[level, other] -= weight
                ranks[kept] = rank
                levels[kept] = levels[i]
                kept += 1
            else:
                exclusive += (i + 1 - kept) * inverse[rank - kept]
            weight += w
        if part == 0:
            out[2] = precision / positives if positives else np.nan
    pair[level, level] = precision
    for other in range(level + 1, len(pair) - 1):
        n_other = 0
        for i in range(kept):
            n_other += int(levels[i] >= other)
        pair[level, other] += n_other * weight
    out[0] = precision / positives if positives else np.nan
    out[1] = exclusive / here if here else np.nan
    return kept, inside * harmonic[positives + 1] - spent


@jit
def _cut_metrics(ranks: NDArray[np.int32], positives: int, inverse: F, cuts: Cuts, out: F) -> None:
    """mAP@K, R@k and P@k of one level into `out[3:]`."""
    at = 3
    for k in cuts[2]:
        out[at] = _precision_sum(ranks, k, inverse) / min(positives, k) if positives else np.nan
        at += 1
    for k in cuts[3]:
        out[at] = np.float64(len(ranks) > 0 and ranks[0] <= k) if positives else np.nan
        at += 1
    for k in cuts[4]:
        out[at] = np.searchsorted(ranks, k, side="right") / k if positives else np.nan
        at += 1


@jit
def _precision_sum(ranks: NDArray[np.int32], k: int, inverse: F) -> float:
    """The terms of AP with rank ≤ k."""
    total = 0.0
    for i in range(np.searchsorted(ranks, k, side="right")):
        total += (i + 1) * inverse[ranks[i]]
    return total


@jit
def _h_ap(pair: F, counts: I, relevance: F) -> float:
    """H-AP from the sums over levels "at least p" and "at least q", by differences over exact levels."""
    numerator, normaliser = 0.0, 0.0
    for p in range(1, len(counts)):
        normaliser += counts[p] * relevance[p]
        for q in range(1, len(counts)):
            exact = pair[p, q] - pair[p + 1, q] - pair[p, q + 1] + pair[p + 1, q + 1]
            numerator += min(relevance[p], relevance[q]) * exact
    return numerator / normaliser if normaliser else np.nan


@jit
def _near_the_top(records: Records, mask: np.uint32, counts: I, table: F, cuts: Cuts, out: F) -> None:
    """NDCG, NDCG@k and tree distance@k."""
    size, depth = len(records), len(counts) - 1
    at = 3
    out[1] = _ndcg(records, size, mask, counts, table)
    for k in cuts[0]:
        out[at] = _ndcg(records, min(k, size), mask, counts, table)
        at += 1
    for k in cuts[1]:
        shared = 0
        for i in range(min(k, size)):
            shared += int(records[i] & mask)
        out[at] = depth - shared / min(k, size) if size else np.nan
        at += 1


@jit
def _ndcg(records: Records, top: int, mask: np.uint32, counts: I, table: F) -> float:
    gain, ideal, above = 0.0, 0.0, 0
    discount, discounted = table[DISCOUNT], table[DISCOUNTED]
    for i in range(top):
        gain += ((np.int64(1) << np.int64(records[i] & mask)) - 1) * discount[i + 1]
    for level in range(len(counts) - 1, 0, -1):
        reach = above + counts[level]
        ideal += ((1 << level) - 1) * (discounted[min(reach, top)] - discounted[min(above, top)])
        above = reach
    return gain / ideal if ideal else np.nan
