"""P@k: the share of positives among the first k."""

from __future__ import annotations

import numpy as np

from hierlandmarks.metrics.relevance import Ints


def precision_at(ranks: Ints, n_positive: int, k: int) -> float:
    """P@k of one query: positives among the first k, divided by k (also where the gallery is shorter, as in trec_eval).

    Args:
        ranks: ranks ≥ 1, ascending, of the retrieved positives, complete up to rank `k`.
        n_positive: the positives in the gallery.
        k: the cut, ≥ 1.

    Returns:
        A score in [0, 1], or NaN where there is no positive.

    >>> precision_at(np.array([1, 3, 9]), 3, k=4)
    0.5
    """
    if n_positive == 0:
        return float("nan")
    return int(np.searchsorted(ranks, k, side="right")) / k
