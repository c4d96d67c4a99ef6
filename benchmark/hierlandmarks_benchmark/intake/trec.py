"""TREC runs: `query Q0 image rank score tag`, a line a result, ordered by score as trec_eval orders them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from hierlandmarks_benchmark.intake.lists import Lists, Rankings
from hierlandmarks_benchmark.intake.problems import quoted
from hierlandmarks_benchmark.intake.truth import GroundTruth

LONGEST = 4096  # characters of a line
TOGETHER = 4096  # queries that are checked at a time


@dataclass
class Results:
    """The results of a query as they come: rows of the gallery, scores, and the lines they stand on."""

    rows: array[int] = field(default_factory=lambda: array("i"))
    scores: array[float] = field(default_factory=lambda: array("d"))
    lines: array[int] = field(default_factory=lambda: array("i"))


def read_trec(path: Path, truth: GroundTruth) -> Rankings:
    """Read a TREC run; the rank it states is not believed, only the score.

    Ties go by image id, descending, as in trec_eval.

    Raises:
        RefusedError: a line of other than six fields, a score that is no number, and all that `Lists` refuses.
    """
    lists, where = Lists(truth, str(path)), str(path)
    rows = {id: row for row, id in enumerate(truth.searched.ids)}
    found: dict[str, Results] = {}
    for number, fields in _lines(path):
        if len(fields) != 6:
            lists.problems.add(f"{where} line {number} is no result; got {len(fields)} fields, expected 6")
            continue
        query, _, item, _, text, _ = fields
        score = _number(text)
        if not math.isfinite(score):
            lists.problems.add(f"{where} line {number}: the score is no number; got {quoted(text)}")
        elif item not in rows:
            hint = lists.hint(item)
            lists.problems.add(f"{where} line {number}: {quoted(item)} is no image of the gallery{hint}: remove it")
        else:
            results = found.setdefault(query, Results())
            results.rows.append(rows[item])
            results.scores.append(score)
            results.lines.append(number)
    queries = list(found)
    for start in range(0, len(queries), TOGETHER):
        _add(lists, queries[start : start + TOGETHER], found)
    return lists.finish()


def _add(lists: Lists, queries: Sequence[str], found: Mapping[str, Results]) -> None:
    """Hand over the results of some queries, each in order of score, ties by id descending."""
    order, places, first = [], [], []
    for query in queries:
        results = found[query]
        rows, scores, lines = (np.array(values) for values in (results.rows, results.scores, results.lines))
        best = np.lexsort((-rows, -scores))  # rows are in order of id
        order.append(rows[best])
        places.append(lines[best])
        first.append(lines[0])
    items = pa.array(lists.truth.searched.ids[np.concatenate(order)], pa.string())
    counts = np.array([len(rows) for rows in order])
    names = pa.array(list(queries), pa.string())
    lists.add(np.array(first, dtype=np.int64), names, counts, items, np.concatenate(places).astype(np.int64))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Numbered lines split into fields, empty ones left out; a line that is too long comes in pieces."""
    with path.open(encoding="utf-8", newline="\n") as file:
        number = 0
        while line := file.readline(LONGEST):
            number += 1
            if fields := line.split():
                yield number, fields
