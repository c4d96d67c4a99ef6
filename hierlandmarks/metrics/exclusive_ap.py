"""AP#l: average precision of one exact level, with everything better taken out of the ranking."""

from __future__ import annotations

import numpy as np

from hierlandmarks.metrics.average_precision import average_precision
from hierlandmarks.metrics.relevance import Ints, Levels


def exclusive_ap(ranks: Ints, levels: Levels, counts: Ints, level: int) -> float:
    """AP#l ("exclude level") of one query: positives have level = l, and items of level > l leave the ranking first.

    It tells whether the items of a coarse level are found at all, where plain AP is led by the finer ones inside it.

    Args:
        ranks: n ranks ≥ 1, ascending, of the retrieved relevant items.
        levels: n levels in 1 … L.
        counts: L + 1 integers, the gallery's items of each exact level.
        level: l, in 1 … L.

    Returns:
        A score in [0, 1], or NaN where the gallery holds no item of exactly this level.

    Complexity: O(n).

    >>> exclusive_ap(np.array([1, 2]), np.array([3, 1]), np.array([5, 1, 0, 1]), level=1)
    1.0
    """
    removed = np.cumsum(levels > level)
    here = levels == level
    return average_precision(ranks[here] - removed[here], int(counts[level]))
