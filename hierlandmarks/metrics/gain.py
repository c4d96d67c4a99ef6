"""NDCG: discounted gain against the ideal order of the whole gallery."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hierlandmarks.metrics.relevance import Floats, Ints, Levels, gain_of_levels


@lru_cache(maxsize=4)
def discounts(size: int) -> Floats:
    """1/log2(1 + rank) at index `rank` for ranks 0 … `size`, index 0 unused; shared between calls, so not writable."""
    table = np.zeros(size + 1)
    table[1:] = 1.0 / np.log2(np.arange(2, size + 2))
    table.setflags(write=False)
    return table


def ndcg(ranks: Ints, levels: Levels, counts: Ints, k: int | None = None, gains: Floats | None = None) -> float:
    """Normalised discounted cumulative gain of one query.

    NDCG = Σ (2^l − 1)/log2(1 + rank) over the same sum for the ideal order of the *whole* gallery; NDCG@k cuts both
    sums at k. (Released code takes the ideal order of the cut list, which rewards leaving items out.)

    Args:
        ranks: n ranks ≥ 1, ascending, of the retrieved relevant items.
        levels: n levels in 1 … L.
        counts: L + 1 integers, the gallery's items of each exact level.
        k: cut both sums here; None for no cut.
        gains: gain of the levels 0 … L where not 2^l − 1 (trec_eval and scikit-learn take l itself); not decreasing.

    Returns:
        A score in [0, 1], or NaN where the ideal gain is 0.

    Complexity: O(n + |Ω⁺|). Source: Järvelin & Kekäläinen, TOIS 2002, with the gain of Burges et al., ICML 2005.

    >>> ndcg(np.array([1, 2]), np.array([3, 1]), np.array([5, 1, 0, 1]))
    1.0
    """
    gains = gain_of_levels(len(counts) - 1) if gains is None else gains
    ideal_order = np.repeat(gains[:0:-1], counts[:0:-1])[:k]
    size = max(len(ideal_order), int(ranks[-1]) if len(ranks) else 0)
    table = discounts(1 << size.bit_length())
    ideal = float(ideal_order @ table[1 : 1 + len(ideal_order)])
    if ideal == 0:
        return float("nan")
    n = len(ranks) if k is None else int(np.searchsorted(ranks, k, side="right"))
    return float(gains[levels[:n]] @ table[ranks[:n]]) / ideal
