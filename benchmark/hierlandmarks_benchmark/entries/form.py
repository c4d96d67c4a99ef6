"""The parts of an entry, and the rules for its names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.errors import CorruptInputError, UsageError
from hierlandmarks_benchmark.texts import plain

META, SCORES, PER_QUERY, EXAMPLES = "meta.yaml", "scores.json", "per_query.parquet", "examples.json"
RANKINGS = "rankings.parquet"  # of entries that were handed in as such; with it they can be scored again
NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")
ROUNDING = 1e-6  # intervals are resampled in float32
MOST_LEVELS = 64  # what a tree distance can be at most; far more than any hierarchy has
PICTURE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


@dataclass(frozen=True)
class Model:
    """What was evaluated.

    Attributes:
        name: of the network or method.
        trained_on: the images it has learnt from, in words.
        loss: what it was trained with, "" where nothing was trained.
        recipe: every setting of the training.
    """

    name: str
    trained_on: str
    loss: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Truth:
    """The images and labels that an entry was scored on.

    Attributes:
        name: of the release.
        version: of the release.
        content_hash: of the release's rows: entries are compared only where it is the same.
        query_split: the split that was searched with.
        gallery_split: the split that was searched, None where each query was searched among the other queries.
        queries: how many.
        gallery: how many.
        levels: names of the label columns, fine to coarse.
        depth: results that counted for a query, None for the whole gallery.
        solution: SHA-256 of the official solution that was used besides, "" for none.
    """

    name: str
    version: str
    content_hash: str
    query_split: str
    gallery_split: str | None
    queries: int
    gallery: int
    levels: tuple[str, ...]
    depth: int | None = None
    solution: str = ""


@dataclass(frozen=True)
class Meta:
    """`meta.yaml`: who an entry is and where its numbers come from.

    Attributes:
        date: of the evaluation.
        inputs: file that was evaluated or handed in -> SHA-256.
        files: file of the entry -> SHA-256.
        primary: the column of scores that ranks it.
        source: what was handed in: evaluation, rankings, embeddings or model.
        by: who submitted it.
        link: an address with more about it.
        contamination: what it may have seen of the images it is scored on, in words.
        suspicions: what stood out when it was scored.
    """

    name: str
    track: str
    date: str
    code_version: str
    model: Model
    truth: Truth
    settings: dict[str, Any]
    hardware: dict[str, Any]
    inputs: dict[str, str]
    files: dict[str, str] = field(default_factory=dict)
    primary: str = "h_ap"
    source: str = "evaluation"
    by: str = ""
    link: str = ""
    contamination: str = ""
    suspicions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """An image in an example, with what a caption and a credit need."""

    id: str
    name: str
    label: str
    kind: str
    author: str
    license: str
    title: str
    url: str


@dataclass(frozen=True)
class Result:
    """A retrieved image and its level of match: 0 nothing in common, L the same landmark."""

    picture: Picture
    level: int


@dataclass(frozen=True)
class Example:
    """A query and its first results, best first."""

    query: Picture
    results: tuple[Result, ...]


@dataclass(frozen=True)
class Score:
    """A mean over queries with its 95 % interval; None where it is not defined; `skipped` queries count for nothing."""

    value: float | None
    low: float | None
    high: float | None
    skipped: int


@dataclass(frozen=True)
class PerQuery:
    """Scores query by query, in order of query id.

    Attributes:
        ids: Q query ids.
        labels: Q names of the queries' labels, "" where empty.
        values: column → Q scores, NaN where not defined.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Entry:
    """An entry as read.

    Attributes:
        meta: who it is.
        scores: means by column.
        per_query: what they are the means of.
        examples: a few queries with results.
        thumbnails: JPEG bytes of every picture in `examples`, by id.
        notes: what the reader of the board should know: its suspicions, and what stands out beside other entries.
    """

    meta: Meta
    scores: Mapping[str, Score]
    per_query: PerQuery
    examples: tuple[Example, ...]
    thumbnails: Mapping[str, bytes]
    notes: tuple[str, ...] = ()


def check_name(name: str) -> str:
    """The name of an entry, refused where it could not be a folder on every machine.

    Raises:
        UsageError: it is not 1 to 64 lower-case letters, digits, dots, hyphens or underscores, or starts or ends with
            a sign.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            "the name of the entry is not safe as a folder",
            got=repr(plain(name)),
            expected="1 to 64 of a-z, 0-9, '.', '_', '-', a letter or digit at both ends",
        )
    return name


def check_picture_id(id: str, where: str) -> None:
    """Refuse an image id that is not safe as a file name.

    Raises:
        CorruptInputError: it has other signs than letters, digits, '_' and '-', or more than 128.
    """
    if not PICTURE_ID.fullmatch(id):
        raise CorruptInputError(
            f"{where}: an image id is not safe as a file name", got=repr(plain(id))[:160], expected="letters and digits"
        )


def check_value(value: Any, column: str, where: str) -> float | None:
    """A metric's value as a number, None where it is not defined (null).

    Raises:
        CorruptInputError: it is no number, not finite or out of range (0 to 1, but for the tree distance).
    """
    if value is None:
        return None
    highest = MOST_LEVELS if column.startswith("tree_distance") else 1
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not -ROUNDING <= value <= highest + ROUNDING:  # false for NaN, too
        raise CorruptInputError(
            f"{where}: {column} is no score", got=repr(value)[:60], expected=f"a number from 0 to {highest}"
        )
    return float(value)


def pictures_of(example: Example) -> tuple[Picture, ...]:
    """The query of an example and its results, in order."""
    return (example.query, *(result.picture for result in example.results))
