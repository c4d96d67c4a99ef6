"""Reading entries: every file is checked before anything of it is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from hierlandmarks.errors import ChecksumError, CorruptInputError, MissingDataError, UsageError
from hierlandmarks.params import from_mapping
from hierlandmarks.tables import read_json
from hierlandmarks_benchmark.entries.files import hashes, read_yaml
from hierlandmarks_benchmark.entries.form import (
    EXAMPLES,
    META,
    NAME,
    PER_QUERY,
    ROUNDING,
    SCORES,
    Entry,
    Example,
    Meta,
    Score,
    check_picture_id,
    check_value,
    pictures_of,
)
from hierlandmarks_benchmark.entries.rows import read_per_query
from hierlandmarks_benchmark.texts import plain

T = TypeVar("T")
MOST_JPEG = 200_000  # bytes of a thumbnail


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
    scores = read_scores(plain(read_json(folder / SCORES)), str(folder / SCORES))
    pictures = {p.id: folder / "examples" / f"{p.id}.jpg" for e in examples for p in pictures_of(e)}
    return Entry(
        meta=meta,
        scores=scores,
        per_query=read_per_query(folder / PER_QUERY, scores, meta.truth.queries),
        examples=examples,
        thumbnails={id: _jpeg(path) for id, path in sorted(pictures.items())},
        notes=meta.suspicions,
    )


def read_scores(content: Any, where: str) -> dict[str, Score]:
    """The means of a `scores.json`, checked.

    Args:
        content: of the file.
        where: its path, for messages.

    Raises:
        CorruptInputError: a score is no number, not finite, out of range or outside of its own interval.
    """
    report = content.get("report") if isinstance(content, dict) else None
    if not isinstance(report, dict) or not all(
        isinstance(report.get(k), dict) for k in ("mean", "confidence", "skipped")
    ):
        raise CorruptInputError(f"{where} has no report", expected="`report` with `mean`, `confidence` and `skipped`")
    if not report["mean"]:
        raise CorruptInputError(f"{where} has no scores", do="evaluate again")
    return {column: _read_score(report, column, where) for column in sorted(report["mean"])}


def _read_score(report: dict[str, Any], column: str, where: str) -> Score:
    interval, skipped = report["confidence"].get(column) or [None, None], report["skipped"].get(column, 0)
    if not isinstance(interval, list) or len(interval) != 2 or not isinstance(skipped, int):
        raise CorruptInputError(
            f"{where}: {column} has no interval or count", expected="[low, high] and a whole number"
        )
    value, low, high = (check_value(v, column, where) for v in (report["mean"][column], *interval))
    inside = value is None or low is None or high is None or low - ROUNDING <= value <= high + ROUNDING
    if not inside:
        raise CorruptInputError(f"{where}: {column} lies outside of its interval", got=f"{value} of {low}..{high}")
    return Score(value, low, high, skipped)


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


def _read_meta(folder: Path) -> Meta:
    path = folder / META
    if not path.is_file():
        raise MissingDataError(f"{folder} is no entry: it lacks {META}", do="make it with `bench submit`, or remove it")
    meta = _build(Meta, plain(read_yaml(path)), str(path))
    if meta.name != folder.name or not NAME.fullmatch(meta.name):
        raise CorruptInputError(
            f"{path}: the name is not that of its folder, or not safe", got=repr(meta.name), expected=folder.name
        )
    return meta


def _build(cls: type[T], content: Any, where: str) -> T:
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
    if not content.startswith(b"\xff\xd8\xff") or len(content) > MOST_JPEG:
        raise CorruptInputError(f"{path} is no small JPEG", do="submit the entry again")
    return content
