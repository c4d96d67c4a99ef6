"""TREC run and qrels files, and evaluation from them: levels judged by hand instead of labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hierlandmarks.errors import CorruptInputError, MissingDataError, UsageError
from hierlandmarks.metrics.columns import row
from hierlandmarks.metrics.ids import check_ids, self_matches
from hierlandmarks.metrics.levels import check_labels, paths
from hierlandmarks.metrics.ranking import Ranked
from hierlandmarks.metrics.report import Report, summarise
from hierlandmarks.metrics.task import Options, describe, make_plan
from hierlandmarks.tables import atomic_path

Run = Mapping[str, Sequence[str]]
Qrels = Mapping[str, Mapping[str, int]]


def evaluate_run(
    run: Run | str | Path,
    qrels: Qrels | str | Path,
    relevance: str = "proportional",
    alpha: float = 1.0,
    weights: Sequence[float] | None = None,
    **options: Unpack[Options],
) -> Report:
    """Every metric of ranked lists against judged levels.

    Args:
        run: query id → item ids, best first, or a TREC run file. A query of the qrels that is not in the run scores
            0, as with trec_eval's option -c.
        qrels: query id → item id → level, or a TREC qrels file; what is not judged, or judged under 0, is of level
            0. L is the highest level.
        relevance: of H-AP.
        alpha: exponent of `proportional`.
        weights: of `decomposed`.
        **options: `metrics`, `label_columns`, `cutoffs`, `resamples` and `seed` are read.

    Raises:
        CorruptInputError: a query that is not judged, an item listed twice.
    """
    lists = run if isinstance(run, Mapping) else read_run(run)
    judged = qrels if isinstance(qrels, Mapping) else read_qrels(qrels)
    if unknown := [query for query in lists if query not in judged]:
        raise CorruptInputError(
            f"query {unknown[0]!r} of the run is not judged", do="check that run and qrels belong together"
        )
    depth = max((level for levels in judged.values() for level in levels.values()), default=0)
    if depth < 1:
        raise UsageError("the qrels hold no relevant item", got=f"{len(judged)} queries")
    plan = make_plan(depth, relevance, alpha, weights, options)
    values = np.empty((len(judged), len(plan.columns)))
    for i, (query, levels) in enumerate(judged.items()):
        items = lists.get(query, ())
        if len(set(items)) < len(items):
            raise CorruptInputError(f"query {query!r}: {_first_repeat(items)!r} is listed twice", do="list it once")
        found = np.array([max(levels.get(item, 0), 0) for item in items], dtype=np.uint8)
        relevant = np.flatnonzero(found)
        counts = np.bincount([max(level, 0) for level in levels.values()], minlength=depth + 1)
        values[i] = row(plan, Ranked(relevant + 1, found[relevant], len(items)), counts)
    frame = pd.DataFrame(values, columns=list(plan.columns))
    frame.insert(0, "query_id", list(judged))
    frame.insert(1, "part", "all")
    return summarise(
        frame,
        ties={},
        settings=describe(plan),
        provenance={"from": "run and qrels"},
        resamples=options.get("resamples", 10_000),
        seed=options.get("seed", 0),
    )


def read_run(path: str | Path) -> dict[str, list[str]]:
    """A run file (query, Q0, item, rank, score, tag) as trec_eval orders it: score descending, ties by item id
    descending.

    Raises:
        MissingDataError: no such file.
        CorruptInputError: a line that is not six fields, or whose score is no finite number.
    """
    scored: dict[str, list[tuple[float, str]]] = {}
    for line, (query, _, item, _, score, _) in _lines(path, 6):
        try:
            value = float(score)
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            raise CorruptInputError(
                f"{path} line {line}: the score is no number", got=repr(score), expected="a finite number"
            )
        scored.setdefault(query, []).append((value, item))
    return {query: [item for _, item in sorted(items, reverse=True)] for query, items in scored.items()}


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """A qrels file (query, iteration, item, level).

    Raises:
        MissingDataError: no such file.
        CorruptInputError: a line that is not four fields, a level that is no integer, an item judged twice.
    """
    levels: dict[str, dict[str, int]] = {}
    for line, (query, _, item, level) in _lines(path, 4):
        judged = levels.setdefault(query, {})
        if item in judged:
            raise CorruptInputError(f"{path} line {line}: {item!r} is judged twice for query {query!r}")
        try:
            judged[item] = int(level)
        except ValueError as error:
            raise CorruptInputError(f"{path} line {line}: the level is no integer", got=repr(level)) from error
    return levels


def write_run(path: str | Path, rankings: Run, tag: str = "hierlandmarks") -> None:
    """Write ranked lists; the score of rank r is 1 / r, so that every reader finds the same order. Atomic."""
    with atomic_path(path) as part, part.open("w", encoding="utf-8") as file:
        for query in sorted(rankings):
            for rank, item in enumerate(rankings[query], start=1):
                file.write(f"{query} Q0 {item} {rank} {1 / rank!r} {tag}\n")


def write_qrels(
    path: str | Path, query_ids: ArrayLike, query_labels: ArrayLike, gallery_ids: ArrayLike, gallery_labels: ArrayLike
) -> None:
    """Write the level of every pair that has something in common, a query never with itself. Atomic.

    At the coarse levels of a large gallery that is most pairs: meant for splits of some thousand images.
    """
    mine = check_labels(query_labels, "query labels", len(np.asarray(query_labels)))
    theirs = check_labels(gallery_labels, "gallery labels", len(np.asarray(gallery_labels)), mine.shape[1])
    queries = check_ids(query_ids, "query ids", len(mine))
    items = check_ids(gallery_ids, "gallery ids", len(theirs))
    matched = paths(mine, theirs, self_matches(queries, items))
    with atomic_path(path) as part, part.open("w", encoding="utf-8") as file:
        for i, query in enumerate(queries):
            level = matched.levels(i)
            for item in np.flatnonzero(level).tolist():
                if item != matched.skip[i]:
                    file.write(f"{query} 0 {items[item]} {level[item]}\n")


def _lines(path: str | Path, fields: int) -> Iterator[tuple[int, list[str]]]:
    """Numbered lines of a file, split at spaces into so many fields; empty lines are passed over."""
    if not Path(path).is_file():
        raise MissingDataError(f"there is no file at {path}", do="check the path")
    with Path(path).open(encoding="utf-8") as file:
        for number, text in enumerate(file, start=1):
            parts = text.split()
            if parts and len(parts) != fields:
                raise CorruptInputError(
                    f"{path} line {number} is cut short", got=f"{len(parts)} fields", expected=str(fields)
                )
            if parts:
                yield number, parts


def _first_repeat(items: Sequence[str]) -> str:
    return next(item for place, item in enumerate(items) if item in items[:place])
