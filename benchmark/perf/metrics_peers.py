"""What the metrics are timed beside: other libraries, each called as its documentation says, on the same scores and
levels.

Each function returns what it computes, so that nobody can be fast by doing nothing. Scores are given to all but
pytorch-metric-learning, which searches for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Levels = NDArray[np.uint8]


def torchmetrics_ap(scores: Floats, levels: Levels, level: int = 1) -> float:
    """torchmetrics: average precision alone, of one level."""
    import torch
    from torchmetrics.functional.retrieval import retrieval_average_precision

    pairs = zip(torch.from_numpy(scores) + 2.0, torch.from_numpy(levels) >= level, strict=True)  # it drops scores ≤ 0
    return float(np.mean([float(retrieval_average_precision(score, positive)) for score, positive in pairs]))


def sklearn_ndcg(scores: Floats, levels: Levels) -> float:
    """scikit-learn: NDCG alone, told to ignore ties."""
    from sklearn.metrics import ndcg_score

    return float(ndcg_score(2.0**levels - 1.0, scores, ignore_ties=True))


def ranx_task(scores: Floats, levels: Levels) -> Callable[[], dict[str, float]]:
    """ranx: NDCG and AP of one level, as a task; building its dictionaries of ids is left out of the time."""
    from ranx import Qrels, Run, evaluate

    names = [f"d{i}" for i in range(scores.shape[1])]
    judged = {f"q{q}": {names[i]: int(row[i]) for i in np.flatnonzero(row)} for q, row in enumerate(levels)}
    run = {f"q{q}": dict(zip(names, row.tolist(), strict=True)) for q, row in enumerate(scores.astype(np.float64))}
    qrels, ranked = Qrels(judged), Run(run)

    def task() -> dict[str, float]:
        found: dict[str, float] = evaluate(qrels, ranked, ["ndcg_burges", "map"])
        return found

    return task


def metric_learning(query: Floats, gallery: Floats, query_labels: Any, gallery_labels: Any) -> dict[str, float]:
    """pytorch-metric-learning: R@1, R-precision, mAP and mAP@R of the finest label, with its own search."""
    import torch
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    calculator = AccuracyCalculator(
        include=("precision_at_1", "r_precision", "mean_average_precision", "mean_average_precision_at_r"),
        k="max_bin_count",
        device=torch.device("cpu"),
        knn_func=CustomKNN(CosineSimilarity()),
    )
    tensors = [torch.from_numpy(array) for array in (query, query_labels[:, 0], gallery, gallery_labels[:, 0])]
    found: dict[str, float] = calculator.get_accuracy(*tensors)
    return found
