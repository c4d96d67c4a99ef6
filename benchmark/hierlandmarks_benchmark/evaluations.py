"""An evaluation held against its release: all that must be true before its numbers may become an entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

import hierlandmarks as hl
from hierlandmarks.errors import CorruptInputError, IncompleteError, UsageError
from hierlandmarks.tables import read_json
from hierlandmarks_benchmark.entries import (
    Example,
    Picture,
    Result,
    Score,
    Truth,
    check_mean,
    check_picture_id,
    read_rows,
)
from hierlandmarks_benchmark.texts import plain

CAPTION = ["id", "name", "hierarchical_label", "natural_or_human_made", "author", "license", "title", "url"]


@dataclass(frozen=True)
class Split:
    """A split of a release, and the row of every image by id."""

    dataset: hl.Dataset
    rows: Mapping[str, int]

    @classmethod
    def load(cls, release: str | Path, name: str) -> Split:
        """Load a split of a release folder."""
        dataset = hl.load(release, split=name)
        return cls(dataset, {id: row for row, id in enumerate(dataset.table(["id"])["id"].to_pylist())})

    @cached_property
    def labels(self) -> dict[str, str]:
        """The name of every image's label, by id."""
        table = self.dataset.table(["id", "hierarchical_label"])
        return dict(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))

    def row(self, id: Any, where: str) -> int:
        """The row of an image.

        Raises:
            CorruptInputError: the split has no such image; `where` says who asked.
        """
        check_picture_id(str(id), where)
        if id not in self.rows:
            raise CorruptInputError(f"{where}: the split {self.dataset.split} of the release has no image {id}")
        return self.rows[id]

    @cached_property
    def _captions(self) -> pa.Table:
        return self.dataset.table(CAPTION)

    def picture(self, row: int) -> Picture:
        """What a caption and a credit need of an image."""
        image = plain(self._captions.slice(row, 1).to_pylist()[0])
        return Picture(
            id=image["id"],
            name=image["name"],
            label=image["hierarchical_label"],
            kind=image["natural_or_human_made"],
            author=image["author"],
            license=image["license"],
            title=image["title"],
            url=image["url"],
        )


def load_splits(release: str | Path, truth: Truth) -> tuple[Split, Split]:
    """The queries and the gallery that an evaluation was made on.

    Raises:
        UsageError: the release is another one, or another version.
    """
    expected = hl.load(release).content_hash
    if expected != truth.content_hash:
        raise UsageError(
            f"the evaluation was not made on the release {release}",
            got=f"content hash {truth.content_hash[:12]}…",
            expected=f"{expected[:12]}…",
            do="evaluate on this release",
        )
    queries = Split.load(release, truth.query_split)
    return queries, queries if truth.gallery_split is None else Split.load(release, truth.gallery_split)


def check_per_query(path: Path, means: Mapping[str, Score], ids: Iterable[str]) -> None:
    """Check that there is one row for every query of the release and that the means are the means of the rows.

    Args:
        path: of `per_query.parquet`: `query_id` and a column a metric, NaN where it is not defined.
        means: from `scores.json`.
        ids: of every query.

    Raises:
        IncompleteError: a query or a metric has no values.
        CorruptInputError: no Parquet, a query that is unknown or there twice, a value that is no score, or a mean that
            is not that of the rows.
    """
    frame = read_rows(path, means)
    _check_queries(path, frame["query_id"], set(ids))
    for column, score in means.items():
        check_mean(path, column, frame[column], score.value)


def _check_queries(path: Path, rows: pd.Series[str], ids: set[str]) -> None:
    if rows.duplicated().any():
        row = int(rows.duplicated().to_numpy().argmax())
        raise CorruptInputError(f"{path} row {row + 1}: the query {plain(rows[row])!r} is there twice", do="remove one")
    if unknown := sorted(set(rows) - ids):
        raise CorruptInputError(f"{path} has a query that the release lacks", got=repr(plain(unknown[0])))
    if missing := sorted(ids - set(rows)):
        raise IncompleteError(
            f"{path} lacks {len(missing)} of {len(ids)} queries, the first {missing[0]!r}", do="evaluate all of them"
        )


def read_examples(path: Path, queries: Split, gallery: Split, most: int) -> tuple[Example, ...]:
    """The first examples of an evaluation, with captions and credits from the release.

    Args:
        path: of `examples.json`: a list of `query` and `results`, each with `id` and `level`.
        queries: images that may be a query.
        gallery: images that may be a result.
        most: examples to take.

    Raises:
        IncompleteError: there is none.
        CorruptInputError: an image that the release lacks, or a level that is not the one its labels give.
    """
    content = read_json(path)
    if not isinstance(content, list) or not (content or most == 0):
        raise IncompleteError(f"{path} has no examples", expected="a list of queries with results")
    return tuple(
        _example(item, f"{path} example {number}", queries, gallery)
        for number, item in enumerate(content[:most], start=1)
    )


def _example(item: Any, where: str, queries: Split, gallery: Split) -> Example:
    found = item.get("results") if isinstance(item, dict) else None
    if not isinstance(found, list) or not all(isinstance(result, dict) for result in found):
        raise CorruptInputError(f"{where} is no query with results", expected="`query` and `results`")
    query = queries.row(item.get("query"), where)
    results = []
    for result in found:
        row = gallery.row(result.get("id"), where)
        level = match_level(queries.dataset.labels[query], gallery.dataset.labels[row])
        if result.get("level") != level:
            raise CorruptInputError(
                f"{where}: the level of {result['id']} is wrong",
                got=repr(plain(result.get("level"))),
                expected=level,
                do="evaluate on this release",
            )
        results.append(Result(gallery.picture(row), level))
    return Example(queries.picture(query), tuple(results))


def match_level(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> int:
    """How many labels of two images match, counted from the coarse end up to the first that differs.

    Args:
        first: L codes, fine to coarse, -1 = empty, which matches nothing.
        second: the same of the other image.

    >>> match_level(np.array([7, 3, 1]), np.array([8, 3, 1])), match_level(np.array([7, -1, 1]), np.array([7, -1, 1]))
    (2, 1)
    """
    return int(np.cumprod(((first == second) & (first >= 0))[::-1]).sum())
