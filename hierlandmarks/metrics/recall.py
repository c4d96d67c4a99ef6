"""R@k: whether there is a positive near the top."""

from __future__ import annotations

from hierlandmarks.metrics.relevance import Ints


def recall_at(ranks: Ints, n_positive: int, k: int) -> float:
    """R@k of one query as metric learning has it: 1 if a positive is among the first k, else 0.

    (Not the share of positives found, which information retrieval calls recall.)

    Args:
        ranks: ranks ≥ 1, ascending, of the retrieved positives, complete up to rank `k`.
        n_positive: the positives in the gallery.
        k: the cut, ≥ 1.

    Returns:
        0.0 or 1.0, or NaN where there is no positive.

    >>> import numpy as np
    >>> recall_at(np.array([3, 9]), 2, k=1), recall_at(np.array([3, 9]), 2, k=4)
    (0.0, 1.0)
    """
    if n_positive == 0:
        return float("nan")
    return float(len(ranks) > 0 and ranks[0] <= k)
