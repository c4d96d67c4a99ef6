"""Tree distance@k: how far from the query's landmark the first k items lie in the hierarchy."""

from __future__ import annotations

import numpy as np

from hierlandmarks.metrics.relevance import Ints, Levels


def tree_distance_at(ranks: Ints, levels: Levels, depth: int, size: int, k: int) -> float:
    """Mean height of the lowest common ancestor of the query and each of the first k items; smaller is better.

    An item of level l shares an ancestor at height L − l: 0 for the same landmark, L where nothing is common. A
    ranking of fewer than k items is averaged over the items it has.

    Args:
        ranks: ranks ≥ 1, ascending, of the retrieved relevant items, complete up to rank `k`.
        levels: their levels in 1 … L.
        depth: L.
        size: items in the whole ranking.
        k: the cut, ≥ 1.

    Returns:
        A distance in [0, L], or NaN where the ranking is empty.

    Source: BREEDS (ICLR 2021) and *Making Better Mistakes* (CVPR 2020), "hierarchical distance@k".

    >>> tree_distance_at(np.array([1, 3]), np.array([3, 1]), depth=3, size=10, k=4)
    2.0
    """
    k = min(k, size)
    if k == 0:
        return float("nan")
    inside = int(np.searchsorted(ranks, k, side="right"))
    return depth - int(levels[:inside].sum()) / k
