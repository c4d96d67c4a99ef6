"""Landmarks of a CSV to a CSV of labels, by decisions about their types and by what labelled landmarks teach."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from hierlandmarks.errors import UsageError
from hierlandmarks.schema import CATEGORIES, REASONS, SUBCLASSES, TYPES
from hierlandmarks.tables import from_rows, write_csv, write_text
from hierlandmarks_pipelines.assign import assign
from hierlandmarks_pipelines.doubts import doubtful
from hierlandmarks_pipelines.guesses import Learnt, landmark_name, learn_guess, read_asked
from hierlandmarks_pipelines.photogallery import Photos
from hierlandmarks_pipelines.reviewsheet import write_sheet
from hierlandmarks_pipelines.typeids import type_id
from hierlandmarks_pipelines.words import split_words

COLUMNS = ("landmark_id", "hierarchical_label", "natural_or_human_made", "confidence", "source", "runner-up")
SURE = 0.95  # landmarks less sure than this go to review


@dataclass(frozen=True)
class Outcome:
    """What became of a CSV.

    Attributes:
        landmarks: how many were asked about.
        labelled: how many got a label.
        sure: how many got one at least as sure as `SURE`.
        calibration_error: expected, of the learnt confidences, cross-validated on the landmarks learnt from.
    """

    landmarks: int
    labelled: int
    sure: int
    calibration_error: float

    def text(self) -> str:
        """The same for people."""
        return (
            f"{self.labelled} of {self.landmarks} landmarks have a label, {self.sure} at {SURE:.0%} or surer "
            f"(expected calibration error, cross-validated: {self.calibration_error:.3f})."
        )


@dataclass(frozen=True)
class Outputs:
    """Files to write; None for those not wanted.

    Attributes:
        labels: CSV of `COLUMNS`, one row a landmark, in the order of the input.
        review: sheet of uncertain landmarks, most informative first, for `labels review apply`.
        calibration: CSV of confidence beside what was right, see `calibration.CURVE`.
    """

    labels: Path
    review: Path | None = None
    calibration: Path | None = None


def assign_csv(
    train: Path,
    landmarks: Path,
    outputs: Outputs,
    *,
    labels: Path | None = None,
    model: str = "auto",
    priors: Path | None = None,
    photos: Photos | None = None,
    seed: int = 0,
) -> Outcome:
    """Learn from one CSV, label the landmarks of another.

    A landmark whose type (`supercategory`) a person decided about gets that label; all others the likeliest one.
    Where nothing is known, not even a name, the cells stay empty.

    Args:
        train, labels, model, priors, photos, seed: see `guesses.learn_guess`.
        landmarks: columns landmark_id, category, and where there are any supercategory, location and space.
        outputs: where to.

    Raises:
        UsageError: the output would replace the input.
        MissingDataError, TableError: a file is missing or wrong.
    """
    if outputs.labels.resolve() in (train.resolve(), landmarks.resolve()):
        raise UsageError("--output would replace what is read", got=outputs.labels, do="name another file")
    asked = read_asked(landmarks)
    learnt = learn_guess(train, labels, model, priors=priors, photos=photos, seed=seed)
    table = label_landmarks(asked, learnt)
    _write_labels(outputs.labels, [row["landmark_id"] for row in asked], table)
    if outputs.review:
        write_sheet(outputs.review, doubtful(table, {}, SURE).rows)
    if outputs.calibration:
        write_csv(outputs.calibration, learnt.calibration.table())
    filled = [sure for sure, label in zip(*_columns(table, "confidence", "label_id"), strict=True) if label]
    sure = sum(value >= SURE for value in filled)
    return Outcome(len(asked), len(filled), sure, round(learnt.calibration.error, 4))


def label_landmarks(asked: Sequence[Mapping[str, str]], learnt: Learnt) -> pa.Table:
    """Landmarks as `guesses.read_asked` gives them to a `schema.ASSIGNMENTS` table; each gets its likeliest label."""
    keys = [{name: row[name] for name in ("space", "landmark_id", "category")} for row in asked]
    place = {row["landmark_id"]: row["location"] for row in asked}
    named = [key | {"name": landmark_name(key["category"])} for key in keys]
    return assign(
        from_rows(named, CATEGORIES),
        from_rows(
            [_type(key, row["supercategory"]) for key, row in zip(keys, asked, strict=True) if _typed(row)], TYPES
        ),
        SUBCLASSES.schema.empty_table(),
        from_rows([key | {"reason": ""} for key in keys], REASONS),
        learnt.decisions,
        learnt.taxonomy,
        name_threshold=0.0,
        guess=lambda rows: learnt.guess([{**row, "location": place[row["landmark_id"]]} for row in rows]),
    )


def _typed(row: Mapping[str, str]) -> bool:
    return bool(split_words(row["supercategory"]))


def _type(key: Mapping[str, str], name: str) -> dict[str, Any]:
    unknown = dict.fromkeys(("rank", "item", "title", "route"), "")
    ids = {"space": key["space"], "landmark_id": key["landmark_id"], "type_id": type_id(name), "type": name}
    return {**ids, **unknown, "ended": False, "revision": None}


def _write_labels(path: Path, ids: Sequence[str], table: pa.Table) -> None:
    rows = {row["landmark_id"]: row for row in table.to_pylist()}
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    names = ("label", "natural_or_human_made", "confidence", "source", "runner_up")
    writer.writerows([key, *(rows[key][name] for name in names)] for key in ids)
    write_text(path, buffer.getvalue())


def _columns(table: pa.Table, *names: str) -> list[list[Any]]:
    return [table[name].to_pylist() for name in names]
