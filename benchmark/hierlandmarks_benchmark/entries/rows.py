"""`per_query.parquet`: scores query by query, held against the means that are made of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from hierlandmarks.errors import CorruptInputError, IncompleteError
from hierlandmarks_benchmark.entries.form import PerQuery, Score, check_value
from hierlandmarks_benchmark.intake.limits import guarded
from hierlandmarks_benchmark.intake.parquet import open_parquet
from hierlandmarks_benchmark.texts import plain

LABEL = "label"  # the column with the name of a query's label
LONGEST = 200  # characters of a label or id


def read_rows(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    """The rows of a table of scores: `query_id`, `label` where it has one, and these columns of numbers.

    Raises:
        IncompleteError: a column is missing.
        CorruptInputError: no Parquet, more than its size may hold, or a column of another type.
    """
    wanted = list(columns)
    with guarded(path, "Parquet file"):
        file = open_parquet(path)
        if lacking := sorted({"query_id", *wanted} - set(file.schema_arrow.names)):
            raise IncompleteError(f"{path} lacks the column {plain(lacking[0])}", do="evaluate again")
        names = ["query_id", *([LABEL] if LABEL in file.schema_arrow.names else []), *wanted]
        frame: pd.DataFrame = file.read(columns=names, use_threads=False).to_pandas(use_threads=False)
    for name in names[: -len(wanted)] if wanted else names:
        if not all(isinstance(value, str) and len(value) <= LONGEST for value in frame[name]):
            raise CorruptInputError(f"{path}: {name} is no column of short texts")
    for name in wanted:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise CorruptInputError(f"{path}: {plain(name)} is no column of numbers", got=frame[name].dtype)
    return frame


def read_per_query(path: Path, means: Mapping[str, Score], queries: int) -> PerQuery:
    """The rows of an entry, checked against its means.

    Raises:
        IncompleteError: a query or a metric has no values.
        CorruptInputError: a query is there twice, a value is no score, or a mean is not that of the rows.
    """
    frame = read_rows(path, means)
    if frame["query_id"].duplicated().any() or len(frame) != queries:
        raise CorruptInputError(f"{path} has not one row a query", got=f"{len(frame)} rows", expected=queries)
    for column, score in means.items():
        check_mean(path, column, frame[column], score.value)
    frame = frame.sort_values("query_id", kind="stable")
    labels = frame[LABEL] if LABEL in frame else [""] * len(frame)
    return PerQuery(
        ids=tuple(plain(list(frame["query_id"]))),
        labels=tuple(plain(list(labels))),
        values={column: frame[column].to_numpy(np.float64) for column in means},
    )


def check_mean(path: Path, column: str, values: pd.Series[float], expected: float | None) -> None:
    """Check that values are scores and that their mean is the stated one; NaN counts for nothing.

    Raises:
        CorruptInputError: a value is out of range, or the mean is another.
    """
    defined = values.dropna().astype(float)
    for value in (defined.min(), defined.max()) if len(defined) else ():
        check_value(float(value), column, str(path))
    mean = float(defined.mean()) if len(defined) else None
    if (mean is None) != (expected is None) or not math.isclose(mean or 0, expected or 0, abs_tol=1e-6):
        raise CorruptInputError(
            f"{path}: the mean of {column} is not the one in the scores",
            got=mean,
            expected=expected,
            do="evaluate again",
        )
