"""mAP@R and mAP@K: average precision that stops counting at a rank."""

from __future__ import annotations

import numpy as np

from hierlandmarks.metrics.average_precision import precision_sum
from hierlandmarks.metrics.relevance import Ints


def map_at_r(ranks: Ints, n_positive: int) -> float:
    """mAP@R of one query: the terms of AP with rank ≤ R = |Ω⁺| only, divided by R.

    Args:
        ranks: ranks ≥ 1, ascending, of the retrieved positives, complete up to rank R.
        n_positive: R, the positives in the gallery.

    Returns:
        A score in [0, 1], or NaN where there is no positive.

    Source: Musgrave et al., *A Metric Learning Reality Check* (ECCV 2020).

    >>> map_at_r(np.array([1, 4]), 2)
    0.5
    """
    return map_at_k(ranks, n_positive, n_positive)


def map_at_k(ranks: Ints, n_positive: int, k: int) -> float:
    """mAP@K of one query: the terms of AP with rank ≤ K, divided by min(|Ω⁺|, K).

    Args:
        ranks: ranks ≥ 1, ascending, of the retrieved positives, complete up to rank `k`.
        n_positive: |Ω⁺|, the positives in the gallery.
        k: the cut, ≥ 1; GLDv2 takes 100.

    Returns:
        A score in [0, 1], or NaN where there is no positive.

    Source: GLDv2 (CVPR 2020), section 4. The official *files* have conventions of their own: see `gldv2.py`.

    >>> map_at_k(np.array([1, 4]), 2, k=4)
    0.75
    """
    if n_positive == 0:
        return float("nan")
    inside = int(np.searchsorted(ranks, k, side="right"))
    return precision_sum(ranks[:inside]) / min(n_positive, k)
