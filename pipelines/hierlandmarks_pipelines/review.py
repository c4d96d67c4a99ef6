"""Proposals to decisions: the sheet for a person, and what came back; the stage `review`."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from hierlandmarks.errors import CorruptInputError
from hierlandmarks.progress import say
from hierlandmarks.schema import CATEGORIES, PROPOSALS, TYPES
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import read_table, write_text
from hierlandmarks_pipelines.labelfiles import (
    LABEL,
    Decision,
    decision_cells,
    decisions_table,
    effective,
    find_decision,
    label_files,
    read_decisions,
    read_taxonomy,
)
from hierlandmarks_pipelines.reviewsheet import Filled, read_sheet, write_sheet

SHEET = "review.csv"


@dataclass(frozen=True)
class ReviewParams:
    """Settings of the stage.

    Attributes:
        labels: folder with taxonomy.csv and decisions.csv; the bundled one when not given.
    """

    labels: Path | None = None


@dataclass(frozen=True)
class Status:
    """How far the review is.

    Attributes:
        types, decided: all types of the run, and those somebody decided about.
        landmarks, settled: all landmarks, and those with a type that has a label by decision.
        waiting: landmarks not settled that have an undecided type.
        next_types, next_landmarks: how many of the first undecided rows of the sheet, and how many waiting landmarks
            they touch.
        stale: decisions about types that this run does not have; they are kept.
    """

    types: int
    decided: int
    landmarks: int
    settled: int
    waiting: int
    next_types: int
    next_landmarks: int
    stale: int

    def text(self) -> str:
        """The same for people."""
        lines = [
            f"{self.decided} of {self.types} types are decided.",
            f"{self.settled} of {self.landmarks} landmarks have a label by decision, {self.waiting} wait for one.",
        ]
        if self.next_types:
            lines.append(f"Deciding the next {self.next_types} types would touch {self.next_landmarks} of those.")
        if self.stale:
            lines.append(f"{self.stale} decisions are about types that are not in this run; they are kept.")
        return "\n".join(lines)


def merge(history: Sequence[Decision], filled: Iterable[Filled], *, overrule: bool = False) -> list[Decision]:
    """The lines that filled sheets add to the decisions; none for what is decided so already.

    A decision that was written down before (same type, outcome, reviewer and reason) is never written again, even if
    another followed it: applying an old sheet once more changes nothing.

    Args:
        history: every decision so far, in order.
        filled: decisions read from sheets.
        overrule: whether a reviewer may decide otherwise than another did before.

    Returns:
        The new lines, in the order of the sheets.

    Raises:
        CorruptInputError: two rows decide a type differently, or a reviewer contradicts another; lists them all.
    """
    written = {(d.type_id, d.outcome, d.reviewer, d.reason) for d in history}
    current, chosen = effective(history), dict[str, Filled]()
    new: list[Decision] = []
    quarrels: list[str] = []
    for entry in filled:
        decision, before = entry.decision, chosen.setdefault(entry.decision.type_id, entry)
        if before.decision.outcome != decision.outcome:
            quarrels.append(f"{entry.where}: {decision}, but {before.where}: {before.decision.outcome.strip()}")
            continue
        if before is not entry or (decision.type_id, decision.outcome, decision.reviewer, decision.reason) in written:
            continue
        standing = current.get(decision.type_id)
        if standing and standing.outcome == decision.outcome:
            continue
        if standing and standing.reviewer != decision.reviewer and not overrule:
            quarrels.append(f"{entry.where}: {decision}, but decided before: {standing}")
            continue
        new.append(decision)
    if quarrels:
        raise CorruptInputError(
            f"{len(quarrels)} decisions contradict others, so none was applied",
            got="; ".join(quarrels),
            do="agree on one each, then apply again, with --overrule to replace another reviewer's",
        )
    return new


def apply_sheets(
    sheets: Sequence[Path], labels: Path, *, reviewer: str, date: str, overrule: bool = False
) -> list[Decision]:
    """Append what filled sheets decide to `decisions.csv` in the folder `labels`; all of it or, on any error, nothing.

    Lines that are there are never touched. A file that ends without a line break gets one.

    Args:
        sheets: filled review sheets.
        labels: folder with taxonomy.csv and decisions.csv.
        reviewer: where a sheet names none.
        date: of the decisions, YYYY-MM-DD.
        overrule: see `merge`.

    Returns:
        The lines appended.

    Raises:
        MissingDataError, TableError: see `read_sheet`, `read_taxonomy` and `read_decisions`.
        CorruptInputError: see `merge`.
    """
    taxonomy_path, path = label_files(labels)
    taxonomy = read_taxonomy(taxonomy_path)
    history = read_decisions(path, taxonomy)
    filled = [entry for sheet in sheets for entry in read_sheet(sheet, taxonomy, reviewer, date)]
    new = merge(history, filled, overrule=overrule)
    if new:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(decision_cells(decision) for decision in new)
        old = path.read_bytes().decode("utf-8")
        write_text(path, (old if old.endswith("\n") else old + "\n") + buffer.getvalue())
    return new


def status(
    types: pa.Table, categories: pa.Table, proposals: pa.Table, decisions: Mapping[str, Decision], ahead: int = 50
) -> Status:
    """Count what is decided, what that settles, and what the next rows of the sheet would.

    Args:
        types, categories, proposals: tables of `schema`.
        decisions: the decision that counts, by type id.
        ahead: how many undecided types to look ahead.

    Linear in types and landmarks.
    """
    outcome = {
        row["type_id"]: find_decision(decisions, row["type_id"], row["type"])
        for row in proposals.select(["type_id", "type"]).to_pylist()
    }
    of_landmark: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in types.select(["space", "landmark_id", "type_id"]).to_pylist():
        of_landmark[row["space"], row["landmark_id"]].append(row["type_id"])
    counts = dict(zip(*_columns(proposals, "type_id", "landmarks"), strict=True))
    ranked = sorted((t for t in counts if outcome[t] is None), key=lambda t: (-counts[t], t))
    following = set(ranked[:ahead])
    settled = waiting = touched = 0
    for stated in of_landmark.values():
        decided = [outcome.get(type_id) for type_id in stated]
        if any(d is not None and d.action == LABEL for d in decided):
            settled += 1
        elif None in decided:
            waiting += 1
            touched += not following.isdisjoint(stated)
    used = {decision.type_id for decision in outcome.values() if decision}
    return Status(
        types=len(outcome),
        decided=len(outcome) - len(ranked),
        landmarks=categories.num_rows,
        settled=settled,
        waiting=waiting,
        next_types=len(following),
        next_landmarks=touched,
        stale=len(decisions.keys() - used),
    )


def read_status(out: Path, labels: Path | None = None) -> Status:
    """The status of a run folder, with the decisions as they are in the labels folder now.

    Raises:
        MissingDataError: the run folder lacks a table, or the labels folder a file.
    """
    names = (TYPES, CATEGORIES, PROPOSALS)
    types, categories, proposals = (read_table(out / "tables" / f"{spec.name}.parquet", spec) for spec in names)
    taxonomy, decisions = label_files(labels)
    return status(types, categories, proposals, effective(read_decisions(decisions, read_taxonomy(taxonomy))))


def _columns(table: pa.Table, *names: str) -> list[list[Any]]:
    return [table[name].to_pylist() for name in names]


def _run(params: ReviewParams, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    taxonomy, decisions = label_files(params.labels)
    current = effective(read_decisions(decisions, read_taxonomy(taxonomy)))
    undecided = write_sheet(folders["review"] / SHEET, inputs["proposals"].to_pylist(), current)
    say(f"        {undecided} of {inputs['proposals'].num_rows} types wait for a decision")
    return {"decisions": decisions_table(current.values())}


def _reads(params: ReviewParams) -> tuple[Path, ...]:
    return label_files(params.labels)


STAGE = Stage(
    name="review",
    about="what people decided about types, and a sheet to decide the rest",
    params=ReviewParams,
    needs=("proposals",),
    makes=("decisions", "review"),
    run=_run,
    reads=_reads,
)
