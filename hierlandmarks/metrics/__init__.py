"""Exact hierarchical retrieval metrics: H-AP, NDCG, ASI, AP by level and the rest, with error bars.

Every convention (ties, empty labels, empty queries, normalisers) is in the docstring of the metric's own function.

>>> import numpy as np
>>> x = np.eye(4, dtype=np.float32)[[0, 0, 1, 1]]
>>> report = evaluate_embeddings(x, np.array([[7, 1], [7, 1], [8, 1], [8, 1]]), resamples=100)
>>> report.mean["h_ap"], report.confidence["h_ap"], report.skipped["h_ap"]
(1.0, (1.0, 1.0), 0)
"""

from __future__ import annotations

from hierlandmarks.metrics.columns import Cutoffs
from hierlandmarks.metrics.confidence import Comparison
from hierlandmarks.metrics.evaluate import evaluate_embeddings, evaluate_rankings, evaluate_scores
from hierlandmarks.metrics.gldv2 import evaluate_gldv2
from hierlandmarks.metrics.report import Report
from hierlandmarks.metrics.task import Options
from hierlandmarks.metrics.top import top_rankings
from hierlandmarks.metrics.trec import evaluate_run

__all__ = [
    "Comparison",
    "Cutoffs",
    "Options",
    "Report",
    "evaluate_embeddings",
    "evaluate_gldv2",
    "evaluate_rankings",
    "evaluate_run",
    "evaluate_scores",
    "top_rankings",
]
