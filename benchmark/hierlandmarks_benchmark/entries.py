"""What an entry of the leaderboard is: the folder that `submit` writes and `leaderboard` reads, checked when read.

::

    submissions/NAME/
      meta.yaml          who it is: model, what it was trained on, ground truth, code version, sha256 of every file
      scores.json        the evaluation's own file: every mean with its 95 % interval, and provenance
      per_query.parquet  one row a query, one column a metric
      examples.json      a few queries with what was found for them
      examples/ID.jpg    thumbnails of the pictures in them
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hierlandmarks.errors import ChecksumError, CorruptInputError, MissingDataError, UsageError
from hierlandmarks.params import from_mapping
from hierlandmarks.tables import file_sha256, read_json
from hierlandmarks_benchmark.texts import plain

META, SCORES, PER_QUERY, EXAMPLES = "meta.yaml", "scores.json", "per_query.parquet", "examples.json"
NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")
ROUNDING = 1e-6  # intervals are resampled in float32
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
    """

    name: str
    version: str
    content_hash: str
    query_split: str
    gallery_split: str | None
    queries: int
    gallery: int
    levels: tuple[str, ...]


@dataclass(frozen=True)
class Meta:
    """`meta.yaml`: who an entry is and where its numbers come from; `date` is that of the evaluation."""

    name: str
    track: str
    date: str
    code_version: str
    model: Model
    truth: Truth
    settings: dict[str, Any]
    hardware: dict[str, Any]
    inputs: dict[str, str]  # file of the evaluation -> sha256
    files: dict[str, str] = field(default_factory=dict)  # file of the entry -> sha256


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
class Entry:
    """An entry as read: `thumbnails` holds the JPEG bytes of every picture in `examples`, by id."""

    meta: Meta
    scores: Mapping[str, Score]
    examples: tuple[Example, ...]
    thumbnails: Mapping[str, bytes]


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


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of an entry but `meta.yaml`, by its path within the entry.

    Raises:
        CorruptInputError: there is a link or something else that is no plain file.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise CorruptInputError(f"{plain(str(path))} is no plain file", do="replace it by the file itself")
        if path.is_file() and path != folder / META:
            found[path.relative_to(folder).as_posix()] = file_sha256(path)
    return found


def read_entries(folder: Path) -> list[Entry]:
    """Every entry of a folder of submissions, by name.

    Raises:
        MissingDataError: no such folder, or no entry in it.
        CorruptInputError: an entry is broken; the message names it.
    """
    if not folder.is_dir():
        raise MissingDataError(f"the folder of submissions {folder} does not exist", do="make it with `bench submit`")
    homes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not homes:
        raise MissingDataError(f"there is no entry in {folder}", do="add one with `bench submit`")
    return [read_entry(home) for home in homes]


def read_entry(folder: Path) -> Entry:
    """Read one entry and check that it is whole and unchanged.

    Raises:
        MissingDataError: a file is missing.
        ChecksumError: a file is not the one that was submitted.
        CorruptInputError: a file says something that cannot be; the message names file and field.
    """
    meta = _read_meta(folder)
    _check_files(folder, meta)
    examples = read_examples(folder / EXAMPLES, levels=len(meta.truth.levels))
    pictures = {p.id: folder / "examples" / f"{p.id}.jpg" for e in examples for p in pictures_of(e)}
    return Entry(
        meta=meta,
        scores=read_scores(plain(read_json(folder / SCORES)), str(folder / SCORES)),
        examples=examples,
        thumbnails={id: _jpeg(path) for id, path in sorted(pictures.items())},
    )


def pictures_of(example: Example) -> tuple[Picture, ...]:
    """The query of an example and its results, in order."""
    return (example.query, *(result.picture for result in example.results))


def read_scores(content: Any, where: str) -> dict[str, Score]:
    """The means of a `scores.json`, checked.

    Args:
        content: of the file.
        where: its path, for messages.

    Raises:
        CorruptInputError: a score is no number, not finite, out of range or outside of its own interval.
    """
    report = content.get("report") if isinstance(content, dict) else None
    if not isinstance(report, dict) or not all(isinstance(report.get(k), dict) for k in ("mean", "confidence")):
        raise CorruptInputError(f"{where} has no report", expected="`report` with `mean` and `confidence`")
    if not report["mean"]:
        raise CorruptInputError(f"{where} has no scores", do="evaluate again")
    skipped = report.get("skipped") or {}
    scores = {}
    for column, mean in sorted(report["mean"].items()):
        low, high = report["confidence"].get(column) or (None, None)
        value, low, high = (check_value(v, column, where) for v in (mean, low, high))
        if value is not None and low is not None and high is not None and not low - ROUNDING <= value <= high + ROUNDING:
            raise CorruptInputError(f"{where}: {column} lies outside of its interval", got=f"{value} of {low}..{high}")
        scores[column] = Score(value, low, high, int(skipped.get(column, 0)))
    return scores


def check_value(value: Any, column: str, where: str) -> float | None:
    """A metric's value as a number, None where it is not defined (null).

    Raises:
        CorruptInputError: it is no number, not finite or out of range (0 to 1, but for the tree distance).
    """
    if value is None:
        return None
    highest = math.inf if column.startswith("tree_distance") else 1.0
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not -ROUNDING <= value <= highest + ROUNDING:
        raise CorruptInputError(
            f"{where}: {column} is no score", got=repr(value)[:60], expected=f"a number from 0 to {highest:g}"
        )
    return float(value)


def read_examples(path: Path, levels: int) -> tuple[Example, ...]:
    """The examples of an entry, checked.

    Raises:
        CorruptInputError: a field is missing, of the wrong type, unsafe as a file name, or a level out of range.
    """
    content = plain(read_json(path))
    if not isinstance(content, list):
        raise CorruptInputError(f"{path} is no list of examples", got=type(content).__name__)
    examples = tuple(_build(Example, item, f"{path} example {i + 1}") for i, item in enumerate(content))
    for i, example in enumerate(examples):
        for picture in pictures_of(example):
            check_picture_id(picture.id, f"{path} example {i + 1}")
        for result in example.results:
            if not 0 <= result.level <= levels:
                raise CorruptInputError(
                    f"{path} example {i + 1}: a level is out of range", got=result.level, expected=f"0 to {levels}"
                )
    return examples


def check_picture_id(id: str, where: str) -> None:
    """Refuse an image id that is not safe as a file name.

    Raises:
        CorruptInputError: it has other signs than letters, digits, '_' and '-', or more than 128.
    """
    if not PICTURE_ID.fullmatch(id):
        raise CorruptInputError(
            f"{where}: an image id is not safe as a file name", got=repr(plain(id))[:160], expected="letters and digits"
        )


class _Loader(yaml.SafeLoader):
    """Reads YAML without aliases, with which a short file can stand for a huge or an endless value."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


def _read_meta(folder: Path) -> Meta:
    path = folder / META
    if not path.is_file():
        raise MissingDataError(f"{folder} is no entry: it lacks {META}", do="make it with `bench submit`, or remove it")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptInputError(f"{path} is not valid YAML", got=" ".join(str(error).split())) from error
    meta = _build(Meta, plain(content), str(path))
    if meta.name != folder.name or not NAME.fullmatch(meta.name):
        raise CorruptInputError(f"{path}: the name is not that of its folder", got=repr(meta.name), expected=folder.name)
    return meta


def _build(cls: Any, content: Any, where: str) -> Any:
    """`from_mapping`, with the exit code of input that is wrong rather than of a wrong argument."""
    try:
        return from_mapping(cls, content, where=where)
    except UsageError as error:
        raise CorruptInputError(str(error)) from error


def _check_files(folder: Path, meta: Meta) -> None:
    found = hashes(folder)
    for name in (SCORES, PER_QUERY, EXAMPLES, *meta.files):
        if name not in found:
            raise MissingDataError(f"the entry {folder} lacks {name}", do="submit it again")
    for name, sha256 in found.items():
        if meta.files.get(name) != sha256:
            raise ChecksumError(
                f"{plain(name)} of the entry {folder} is not the file that was submitted",
                got=f"sha256 {sha256[:12]}…",
                expected=f"what {META} says",
                do="submit it again under a new name",
            )


def _jpeg(path: Path) -> bytes:
    if not path.is_file():
        raise MissingDataError(f"{path} does not exist", do="submit the entry again")
    content = path.read_bytes()
    if not content.startswith(b"\xff\xd8\xff"):
        raise CorruptInputError(f"{path} is no JPEG", do="submit the entry again")
    return content
