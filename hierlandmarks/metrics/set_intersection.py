"""ASI: the average set intersection of DyML."""

from __future__ import annotations

import numpy as np

from hierlandmarks.metrics.relevance import Ints, Levels


def asi(ranks: Ints, levels: Levels, counts: Ints) -> float:
    """Average set intersection of one query.

    SI(n) = |multiset of levels in the top n ∩ the same of the ideal top n| / n, and ASI is its mean over n = 1 …
    |Ω⁺|. In [0, 1]; 1 exactly where the ranking is ideal.

    Args:
        ranks: n ranks ≥ 1, ascending, of the retrieved relevant items.
        levels: n levels in 1 … L.
        counts: L + 1 integers, the gallery's items of each exact level.

    Returns:
        The score, or NaN where the gallery holds nothing relevant.

    The ideal top n holds every item of the levels above some level `a`, part of level `a`, and none below; so the
    intersection is c_{>a}(n) + min(c_a(n), n − |Ω^{>a}|) with c the counts of the real top n.

    Complexity: O(|Ω⁺| · L). Source: DyML (CVPR 2021), section 4.

    >>> asi(np.array([1, 3]), np.array([1, 3]), np.array([1, 1, 0, 1]))
    0.25
    """
    n_relevant = int(counts[1:].sum())
    if n_relevant == 0:
        return float("nan")
    inside = int(np.searchsorted(ranks, n_relevant, side="right"))
    top = np.zeros(n_relevant, dtype=np.uint8)  # the level at each rank, 0 where nothing is common
    top[ranks[:inside] - 1] = levels[:inside]
    total, start = 0.0, 0  # `start` items of levels above `level` open the ideal order
    for level in range(len(counts) - 1, 0, -1):
        stop = start + int(counts[level])
        n = np.arange(start + 1, stop + 1)
        better = np.cumsum(top[:stop] > level, dtype=np.int32)[start:]
        same = np.cumsum(top[:stop] == level, dtype=np.int32)[start:]
        total += float(((better + np.minimum(same, n - start)) / n).sum())
        start = stop
    return total / n_relevant
