"""The full-argsort way: what evaluation code commonly does, and what the released code of the papers does.

Sort every row of the score matrix, gather the levels in that order, and take each metric from cumulated sums over
matrices of size queries × gallery, in double precision. Correct (it is compared with the library in the tests),
simple, and heavy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def evaluate(
    query: NDArray[np.float32],
    gallery: NDArray[np.float32],
    query_labels: NDArray[np.int64],
    gallery_labels: NDArray[np.int64],
) -> dict[str, Floats]:
    """Per-query metrics of trees of labels, proportional relevance, no self-matches; names as in the library.

    Args:
        query: Q × d.
        gallery: G × d.
        query_labels: Q × L, fine → coarse.
        gallery_labels: G × L.
    """
    depth = query_labels.shape[1]
    scores = query @ gallery.T
    order = np.argsort(-scores, axis=1, kind="stable")
    level = (query_labels[:, None, :] == gallery_labels[None, :, :]).sum(axis=2)
    ranked = np.take_along_axis(level, order, axis=1)
    rank = np.arange(1, ranked.shape[1] + 1)
    out = graded(level, ranked, rank, depth)
    for column in range(depth):
        for name, value in binary(ranked, rank, depth - column).items():
            out[f"{name}_{column}"] = value
    return out


def graded(
    level: NDArray[np.int64], ranked: NDArray[np.int64], rank: NDArray[np.int64], depth: int
) -> dict[str, Floats]:
    """H-AP, NDCG, ASI, NDCG@k and tree distance@k."""
    counts = np.stack([(level == k).sum(axis=1) for k in range(depth + 1)], axis=1)
    relevance = np.divide(np.arange(depth + 1) / depth, counts, out=np.zeros(counts.shape), where=counts > 0)
    relevance[:, 0] = 0
    mine = np.take_along_axis(relevance, ranked, axis=1)
    h_rank = np.zeros(ranked.shape)
    for k in range(1, depth + 1):
        h_rank += np.cumsum(ranked == k, axis=1) * np.minimum(mine, relevance[:, k, None])
    positives = (ranked > 0).sum(axis=1)
    ideal = -np.sort(-ranked, axis=1)
    common = np.zeros(ranked.shape)
    for k in range(1, depth + 1):
        common += np.minimum(np.cumsum(ranked == k, axis=1), np.cumsum(ideal == k, axis=1))
    gain, best = (np.cumsum((2.0**levels - 1) / np.log2(1 + rank), axis=1) for levels in (ranked, ideal))
    out = {
        "h_ap": (h_rank / rank).sum(axis=1) / mine.sum(axis=1),
        "ndcg": gain[:, -1] / best[:, -1],
        "asi": (common / rank * (rank <= positives[:, None])).sum(axis=1) / positives,
    }
    out |= {f"ndcg_at_{k}": gain[:, k - 1] / best[:, k - 1] for k in (10, 100)}
    return out | {f"tree_distance_at_{k}": (depth - ranked[:, :k]).mean(axis=1) for k in (1, 10)}


def binary(ranked: NDArray[np.int64], rank: NDArray[np.int64], level: int) -> dict[str, Floats]:
    """AP, AP#l, mAP@R, mAP@100, R@k and P@k of one level."""
    positive = ranked >= level
    n = positive.sum(axis=1)
    precision = np.cumsum(positive, axis=1) / rank * positive
    exact = ranked == level
    left = rank - np.cumsum(ranked > level, axis=1)
    exclusive = np.cumsum(exact, axis=1) / np.maximum(left, 1) * exact
    with np.errstate(invalid="ignore"):
        out = {
            "ap": precision.sum(axis=1) / n,
            "ap_exclusive": exclusive.sum(axis=1) / exact.sum(axis=1),
            "map_at_r": (precision * (rank <= n[:, None])).sum(axis=1) / n,
            "map_at_100": precision[:, :100].sum(axis=1) / np.minimum(n, 100),
        }
    out |= {f"recall_at_{k}": np.where(n > 0, positive[:, :k].any(axis=1), np.nan) for k in (1, 4, 10)}
    return out | {f"precision_at_{k}": np.where(n > 0, positive[:, :k].mean(axis=1), np.nan) for k in (1, 10)}
