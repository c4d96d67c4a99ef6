"""The CSV files of the Kaggle landmark retrieval challenge: predictions, and the official solution."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hierlandmarks.errors import CorruptInputError, MissingDataError
from hierlandmarks.tables import atomic_path

USAGES = ("Public", "Private", "Ignored")


@dataclass(frozen=True)
class Solution:
    """What is right for each query of a split.

    Attributes:
        images: query id → ids of the relevant index images; empty for ignored queries.
        usage: query id → `Public`, `Private` or `Ignored`.
    """

    images: dict[str, frozenset[str]]
    usage: dict[str, str]


def read_solution(path: str | Path) -> Solution:
    """Read an official solution: columns `id`, `images` (ids between spaces, `None` for ignored queries), `Usage`.

    Raises:
        MissingDataError: no such file.
        CorruptInputError: a missing column, a repeated query, an unknown usage, or a query to be scored without images.
    """
    frame = _read(path, ("id", "images", "Usage"))
    images, usage = {}, {}
    for row, (query, text, use) in enumerate(frame[["id", "images", "Usage"]].itertuples(index=False), start=2):
        relevant = frozenset() if text == "None" else frozenset(text.split())
        if use not in USAGES:
            raise CorruptInputError(f"{path} line {row}: unknown usage", got=repr(use), expected=", ".join(USAGES))
        if use != "Ignored" and not relevant:
            raise CorruptInputError(
                f"{path} line {row}: query {query!r} has no images", expected="some, or Usage Ignored"
            )
        images[query], usage[query] = relevant, use
    return Solution(images, usage)


def read_predictions(path: str | Path) -> dict[str, list[str]]:
    """Read predictions: columns `id` and `images`, ids between spaces, best first.

    Raises:
        MissingDataError: no such file.
        CorruptInputError: a missing column or a repeated query.
    """
    frame = _read(path, ("id", "images"))
    return {query: text.split() for query, text in frame[["id", "images"]].itertuples(index=False)}


def write_predictions(path: str | Path, rankings: Mapping[str, Sequence[str]], k: int = 100) -> None:
    """Write the first `k` ids of each query, queries sorted by id; atomic.

    Raises:
        CorruptInputError: an id with a space in it, which the format cannot hold.
    """
    with atomic_path(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "images"))
        for query in sorted(rankings):
            items = [str(item) for item in rankings[query][:k]]
            if bad := [item for item in items if not item or len(item.split()) != 1]:
                raise CorruptInputError(f"query {query!r}: {bad[0]!r} cannot be written", expected="ids without spaces")
            writer.writerow((query, " ".join(items)))


def _read(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """A CSV of strings with these columns and no repeated `id`."""
    if not Path(path).is_file():
        raise MissingDataError(f"there is no file at {path}", do="check the path")
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise CorruptInputError(f"{path} is no CSV", got=str(error).strip()) from error
    if missing := [name for name in columns if name not in frame.columns]:
        raise CorruptInputError(f"{path} has no column {missing[0]}", got=", ".join(frame.columns))
    if (repeated := frame.index[frame["id"].duplicated()]).size:
        row = int(repeated[0])
        raise CorruptInputError(
            f"{path} line {row + 2}: query {frame['id'][row]!r} is repeated", expected="each query once"
        )
    return frame
