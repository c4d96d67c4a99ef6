"""The ways in: from embeddings, from a score matrix, from ranked lists; each returns a `Report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hierlandmarks.errors import CorruptInputError, UsageError
from hierlandmarks.metrics.columns import Plan, row
from hierlandmarks.metrics.engine import Measured, choose_backend, measure
from hierlandmarks.metrics.ranking import Ranked
from hierlandmarks.metrics.relevance import Ints
from hierlandmarks.metrics.report import Report, means
from hierlandmarks.metrics.scorers import MatrixScorer, ProductScorer, Scorer
from hierlandmarks.metrics.sources import open_vectors
from hierlandmarks.metrics.task import Options, Task, make_plan, prepare, report_of


def evaluate_embeddings(
    query: Any,
    query_labels: ArrayLike,
    gallery: Any = None,
    gallery_labels: ArrayLike | None = None,
    relevance: str = "proportional",
    alpha: float = 1.0,
    weights: Sequence[float] | None = None,
    **options: Unpack[Options],
) -> Report:
    """Exact hierarchical retrieval metrics of embeddings, ranked by inner product in float32.

    Args:
        query: Q × d embeddings, L2-normalised by the caller: an array, a memory map, a .npy, .safetensors or
            .parquet file, a folder of such shards, or a list of them. Nothing of size Q × G is kept, and no shard is
            read whole.
        query_labels: Q × L integers, fine → coarse, −1 for an empty label; or Q for one level.
        gallery: G × d likewise; None ranks the queries against each other, each left out of its own ranking.
        gallery_labels: G × L.
        relevance: `proportional` or `decomposed`: how H-AP weighs levels; see `relevance_of_levels`.
        alpha: exponent of `proportional`.
        weights: of `decomposed`, from the coarsest level to the landmark.
        **options: see `Options`.

    Returns:
        A report. Column `…_c` takes label column c, 0 = finest: its positives agree on that label and all coarser ones.

    Raises:
        UsageError: arguments that do not fit each other, an empty gallery, an unknown metric.
        CorruptInputError: NaN or infinity, repeated ids, labels under −1; the first offending row is named.

    Complexity: one matrix product, and O(G) per query to rank and measure. Memory: 52 MB of scores, or 128 rows of
    them.

    >>> import numpy as np
    >>> x = np.eye(4, dtype=np.float32)[[0, 0, 1, 1]]
    >>> evaluate_embeddings(x, np.array([7, 7, 8, 8]), resamples=10).mean["map_at_r_0"]
    1.0
    """
    source = open_vectors(query, "query")
    target = source if gallery is None else open_vectors(gallery, "gallery")
    if source.shape[1] != target.shape[1]:
        got = f"{source.shape[1]} and {target.shape[1]} numbers a row"
        raise UsageError("query and gallery embeddings have different width", got=got)
    task = prepare(source.shape[0], target.shape[0], query_labels, gallery_labels, options)
    plan = make_plan(task.paths.depth, relevance, alpha, weights, options)
    return _evaluate(ProductScorer(source, target), task, plan, options)


def evaluate_scores(
    scores: ArrayLike,
    query_labels: ArrayLike,
    gallery_labels: ArrayLike | None = None,
    relevance: str = "proportional",
    alpha: float = 1.0,
    weights: Sequence[float] | None = None,
    **options: Unpack[Options],
) -> Report:
    """The same from a Q × G score matrix, higher is better; without `gallery_labels` it is Q × Q and the diagonal is
    left out.

    Everything else, errors included, is as in `evaluate_embeddings`. Scores are compared in float32.
    """
    matrix = np.asarray(scores)
    if matrix.ndim != 2 or not np.issubdtype(matrix.dtype, np.number):
        raise UsageError(
            "scores are no matrix", got=f"{matrix.dtype} of shape {matrix.shape}", expected="Q × G numbers"
        )
    task = prepare(matrix.shape[0], matrix.shape[1], query_labels, gallery_labels, options)
    plan = make_plan(task.paths.depth, relevance, alpha, weights, options)
    return _evaluate(MatrixScorer(matrix), task, plan, options)


def evaluate_rankings(
    rankings: NDArray[np.integer[Any]] | Mapping[Any, Sequence[Any]],
    query_labels: ArrayLike,
    gallery_labels: ArrayLike | None = None,
    relevance: str = "proportional",
    alpha: float = 1.0,
    weights: Sequence[float] | None = None,
    **options: Unpack[Options],
) -> Report:
    """The same from ranked lists, best first, which may stop early: a relevant item that is not listed adds nothing.

    Args:
        rankings: Q × K gallery rows, −1 to fill short lists (as faiss returns them); or, with `query_ids` and
            `gallery_ids`, a mapping from query id to gallery ids, one list a query. A query in its own list is
            passed over.
        query_labels: as in `evaluate_embeddings`, as is everything below.
        gallery_labels: None where the queries are the gallery.
        relevance: of H-AP.
        alpha: exponent of `proportional`.
        weights: of `decomposed`.
        **options: see `Options`; `backend` and `tie_range` have no meaning here.

    Raises:
        UsageError: arguments that do not fit each other.
        CorruptInputError: a query without a list or a list without a query, an unknown or repeated gallery item.
    """
    labels = np.asarray(query_labels)
    size = len(labels) if gallery_labels is None else len(np.asarray(gallery_labels))
    task = prepare(len(labels), size, labels, gallery_labels, options)
    plan = make_plan(task.paths.depth, relevance, alpha, weights, options)
    lists = _rows_of_ids(rankings, task) if isinstance(rankings, Mapping) else _rows(rankings, task)
    values = np.empty((len(labels), len(plan.columns)))
    for query, rows in enumerate(lists):
        level = task.paths.levels(query, rows[rows != task.paths.skip[query]])
        relevant = np.flatnonzero(level)
        ranked = Ranked(relevant + 1, level[relevant], len(level))
        values[query] = row(plan, ranked, task.paths.counts(query))
    measured = Measured(values, np.zeros(len(labels), dtype=bool))
    return replace(report_of(measured, task, plan, options, {"from": "rankings"}), ties={})


def _rows(rankings: NDArray[np.integer[Any]], task: Task) -> list[Ints]:
    """Lists of gallery rows from a Q × K array, checked."""
    array = np.asarray(rankings)
    n, size = len(task.query_ids), len(task.gallery_ids)
    if array.ndim != 2 or len(array) != n or not np.issubdtype(array.dtype, np.integer):
        got = f"{array.dtype} of shape {array.shape}"
        raise UsageError("rankings are no array of gallery rows", got=got, expected=f"{n} × K integers")
    lists = [line[line >= 0].astype(np.int64) for line in array]
    for query, rows in enumerate(lists):
        if rows.size and rows.max() >= size:
            raise CorruptInputError(f"ranking {query} names gallery row {rows.max()}", expected=f"rows under {size}")
        _refuse_repeats(rows, f"ranking {query}", task)
    return lists


def _rows_of_ids(rankings: Mapping[Any, Sequence[Any]], task: Task) -> list[Ints]:
    """Lists of gallery rows from a mapping of ids, checked."""
    if unknown := [query for query in rankings if query not in task.query_ids]:
        raise CorruptInputError(f"ranking of {unknown[0]!r}: no such query in this split", do="check query_ids")
    lists = []
    for query in task.query_ids:
        if query not in rankings:
            raise CorruptInputError(f"query {query!r} has no ranking", do="give it an empty list")
        ids = pd.Index(rankings[query], dtype=task.gallery_ids.dtype)
        rows = task.gallery_ids.get_indexer(ids).astype(np.int64)
        if (bad := np.flatnonzero(rows < 0)).size:
            what = f"ranking of {query!r}, rank {bad[0] + 1}: {ids[bad[0]]!r} is not in the gallery"
            raise CorruptInputError(what, do="check gallery_ids")
        _refuse_repeats(rows, f"ranking of {query!r}", task)
        lists.append(rows)
    return lists


def _refuse_repeats(rows: Ints, where: str, task: Task) -> None:
    if (bad := np.flatnonzero(pd.Index(rows).duplicated())).size:
        item = task.gallery_ids[rows[bad[0]]]
        raise CorruptInputError(f"{where}, rank {bad[0] + 1}: {item!r} is listed twice", do="list it once")


def _evaluate(scorer: Scorer, task: Task, plan: Plan, options: Options) -> Report:
    """Measure, and on request measure again with the best and the worst order of ties."""
    backend = choose_backend(options.get("backend", "auto"), len(task.query_ids) * len(task.gallery_ids))
    measured = measure(scorer, task.paths, plan, "position", backend)
    report = report_of(measured, task, plan, options, {"backend": backend})
    if not options.get("tie_range", False):
        return report
    ties = dict(report.ties)
    for order in ("optimistic", "pessimistic"):
        values = measure(scorer, task.paths, plan, order, backend).values
        ties[order] = means(plan.columns, values)
    return replace(report, ties=ties)
