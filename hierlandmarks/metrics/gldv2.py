"""The official GLDv2 retrieval score, matched exactly, conventions and all.

They differ from `map_at_k` over a complete ranking: predictions past `k` are ignored; a repeated id earns nothing
but still uses up its rank; a query without predictions scores 0; and Public and Private queries are averaged apart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hierlandmarks.errors import CorruptInputError
from hierlandmarks.metrics.kaggle import Solution, read_predictions, read_solution
from hierlandmarks.metrics.relevance import Ints
from hierlandmarks.metrics.report import Report, summarise


def hits(predicted: Sequence[str], relevant: Collection[str], k: int = 100) -> Ints:
    """Ranks from 1 of the relevant ids among the first `k` predictions, a repeated id only where it comes first.

    >>> hits(["a", "x", "a", "b"], {"a", "b"}).tolist()
    [1, 4]
    """
    seen: set[str] = set()
    ranks = []
    for rank, item in enumerate(predicted[:k], start=1):
        if item in relevant and item not in seen:
            ranks.append(rank)
        seen.add(item)
    return np.array(ranks, dtype=np.int64)


def official_ap(ranks: Ints, n_relevant: int, k: int = 100) -> float:
    """AP@k of one query from the ranks of its `hits`.

    >>> official_ap(np.array([1, 4]), 2)
    0.75
    """
    return float((np.arange(1, len(ranks) + 1) / ranks).sum()) / min(n_relevant, k)


def evaluate_gldv2(
    predictions: Mapping[str, Sequence[str]] | str | Path,
    solution: Solution | str | Path,
    k: int = 100,
    resamples: int = 10_000,
    seed: int = 0,
) -> Report:
    """The official retrieval metrics of a submission to GLDv2, with what this library adds: error bars.

    Args:
        predictions: query id → index image ids, best first; or a Kaggle CSV.
        solution: what is right, by query; or the official CSV. Ignored queries are skipped.
        k: the cut; officially 100.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        A report with the columns `map_at_{k}`, `precision_at_{k}` and `position` (rank of the first hit, k + 1 where
        there is none); the official scores are `report.parts["Public"]` and `report.parts["Private"]`.

    Raises:
        CorruptInputError: a query that is not in the solution.

    Source: Weyand et al., CVPR 2020, and the scorer released with it.
    """
    truth = solution if isinstance(solution, Solution) else read_solution(solution)
    given = predictions if isinstance(predictions, Mapping) else read_predictions(predictions)
    if unknown := [query for query in given if query not in truth.images]:
        raise CorruptInputError(f"query {unknown[0]!r} is not in the solution", do="check which split it belongs to")
    rows: list[dict[str, Any]] = []
    for query, relevant in truth.images.items():
        if truth.usage[query] == "Ignored":
            continue
        ranks = hits(given.get(query, ()), relevant, k)
        row = {
            "query_id": query,
            "part": truth.usage[query],
            f"map_at_{k}": official_ap(ranks, len(relevant), k),
            f"precision_at_{k}": len(ranks) / k,
            "position": float(ranks[0]) if len(ranks) else k + 1.0,
        }
        rows.append(row)
    frame = pd.DataFrame(rows)
    settings = {"scorer": "official GLDv2 retrieval", "k": k}
    source = {"from": "predictions"}
    return summarise(frame, ties={}, settings=settings, provenance=source, resamples=resamples, seed=seed)
