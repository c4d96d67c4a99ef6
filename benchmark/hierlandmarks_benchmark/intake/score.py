"""Rankings against ground truth: the report, with the official GLDv2 score where its solution is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hierlandmarks.hierarchy import level
from hierlandmarks.metrics import Report, evaluate_gldv2, evaluate_rankings
from hierlandmarks.metrics.report import summarise
from hierlandmarks_benchmark.evaluate import choose
from hierlandmarks_benchmark.intake.lists import Rankings, Rows
from hierlandmarks_benchmark.intake.truth import GroundTruth

OFFICIAL = "official_map_at_100"
EXAMPLES, RESULTS = 8, 8
PERFECT = "every score is perfect"
RESAMPLES = 10_000
HEAD = 10  # results that tell whether a list follows the order of the index


def score(rankings: Rankings, truth: GroundTruth) -> Report:
    """Every metric of the track.

    With a solution, queries carry their part (Public or Private), intervals are stratified by it, and there are two
    more columns, `official_map_at_100_public` and `…_private`, as the official scorer computes them.

    Complexity: O(results) and the bootstrap.
    """
    gallery = truth.gallery
    report = evaluate_rankings(
        rankings.rows,
        truth.queries.labels,
        None if gallery is None else gallery.labels,
        query_ids=truth.queries.ids,
        gallery_ids=None if gallery is None else gallery.ids,
        parts=[part or "all" for part in truth.parts],
        metrics=truth.track.metrics,
        resamples=RESAMPLES,
    )
    if truth.solution is None:
        return report
    frame = report.per_query.merge(_official(rankings.rows, truth), on="query_id", validate="one_to_one")
    settings = {k: v for k, v in report.settings.items() if k not in ("resamples", "seed")}
    provenance = {k: v for k, v in report.provenance.items() if k != "queries"}
    return summarise(frame, ties={}, settings=settings, provenance=provenance, resamples=RESAMPLES)


def examples(rankings: Rankings, truth: GroundTruth) -> list[dict[str, Any]]:
    """A few queries with their first results, as `bench evaluate` writes them: the same queries for every entry."""
    queries, searched = truth.queries, truth.searched
    shown = []
    for query in choose(queries.ids.to_numpy(), queries.labels[:, 1], EXAMPLES):
        rows = rankings.rows[query]
        rows = rows[(rows >= 0) & (rows != _itself(truth, query))][:RESULTS]
        levels = level(queries.labels[query], searched.labels[rows])
        results = [{"id": searched.ids[row], "level": int(at)} for row, at in zip(rows, levels, strict=True)]
        shown.append({"query": queries.ids[query], "results": results})
    return shown


def suspicions(rankings: Rankings, score: float) -> list[str]:
    """What a reader should know that scores do not say: perfect scores, lists in the order of the index."""
    found = []
    if score >= 1 - 1e-9:
        found.append(PERFECT)
    head = rankings.rows[:, :HEAD].astype(np.int64)
    follows = ((np.diff(head, axis=1) > 0) & (head[:, 1:] >= 0)).all(axis=1)
    if head.shape[1] > 2 and follows.mean() > 0.5:
        found.append(f"{follows.mean():.0%} of the lists begin in the order of the index")
    return found


def _official(rows: Rows, truth: GroundTruth) -> pd.DataFrame:
    assert truth.solution is not None
    ids = truth.searched.ids.to_numpy()
    lists = {id: ids[line[line >= 0]].tolist() for id, line in zip(truth.queries.ids, rows, strict=True)}
    scored = evaluate_gldv2(lists, truth.solution, resamples=1).per_query
    return pd.DataFrame(
        {"query_id": scored["query_id"]}
        | {
            f"{OFFICIAL}_{part.lower()}": scored["map_at_100"].where(scored["part"] == part)
            for part in ("Public", "Private")
        }
    )


def _itself(truth: GroundTruth, query: int) -> int:
    return (
        query if truth.gallery is None else int(truth.searched.ids.get_indexer(truth.queries.ids[query : query + 1])[0])
    )
