"""AP of one level: binary average precision over a full ranking."""

from __future__ import annotations

import numpy as np

from hierlandmarks.metrics.relevance import Ints


def average_precision(ranks: Ints, n_positive: int) -> float:
    """Average precision of one query with binary positives.

    AP = 1/|Ω⁺| Σ_{k∈Ω⁺} rank⁺(k)/rank(k). A positive that was not retrieved adds nothing (as in trec_eval's `map`). No
    interpolation: the trapezoid AP of ROxford/RParis is another metric.

    Args:
        ranks: n ranks ≥ 1, ascending, of the retrieved positives.
        n_positive: |Ω⁺|, the positives in the gallery, ≥ n.

    Returns:
        A score in [0, 1], or NaN where there is no positive.

    Complexity: O(n).

    >>> average_precision(np.array([1, 4]), 2)
    0.75
    """
    if n_positive == 0:
        return float("nan")
    return precision_sum(ranks) / n_positive


def precision_sum(ranks: Ints) -> float:
    """Σ rank⁺(k)/rank(k) over positives at these ascending ranks."""
    return float((np.arange(1, len(ranks) + 1) / ranks).sum())
