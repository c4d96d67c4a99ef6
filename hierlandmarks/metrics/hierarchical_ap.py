"""H-AP: average precision over graded relevance."""

from __future__ import annotations

import numpy as np

from hierlandmarks.metrics.relevance import Floats, Ints, Levels


def h_ap(ranks: Ints, levels: Levels, counts: Ints, relevance: Floats) -> float:
    """Hierarchical average precision of one query.

    H-AP = Σ_{k∈Ω⁺} H-rank(k)/rank(k) / Σ_{k∈Ω⁺} rel(k), with H-rank(k) = rel(k) + Σ_{j∈Ω⁺ ranked above k}
    min(rel(j), rel(k)). In [0, 1]; 1 only where no item is preceded by one of lower relevance; AP where relevance is
    binary. Computed by item, so two levels of equal relevance count once (the released code counts them twice: its
    perfect ranking can score 2).

    Args:
        ranks: n ranks ≥ 1, ascending, of the relevant items (level ≥ 1) that were retrieved.
        levels: n levels in 1 … L.
        counts: L + 1 integers, the gallery's items of each exact level; a relevant item that was not retrieved adds
            nothing above the line and its relevance below it.
        relevance: L + 1 floats from `relevance_of_levels`.

    Returns:
        The score, or NaN where the gallery holds nothing relevant.

    Complexity: O(n · L). Source: HAPPIER (arXiv 2207.04873), equations 2 to 4.

    >>> from hierlandmarks.metrics.relevance import relevance_of_levels
    >>> counts = np.array([1, 1, 0, 1])
    >>> h_ap(np.array([1, 2]), np.array([3, 1]), counts, relevance_of_levels(counts))
    1.0
    """
    total = float(counts[1:] @ relevance[1:])
    if total == 0:
        return float("nan")
    common = np.minimum.outer(relevance, relevance)
    h_rank = np.zeros(len(ranks))
    for level in np.flatnonzero(counts[1:]) + 1:
        above = np.cumsum(levels == level, dtype=np.int32)  # of this level at or above each item
        h_rank += above * common[level][levels]
    return float((h_rank / ranks).sum()) / total
