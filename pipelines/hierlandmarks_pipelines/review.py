"""Proposals to decisions: the sheet for a person, and what came back; the stage `review`."""

from __future__ import annotations

import csv
import fcntl
import io
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hierlandmarks.errors import CorruptInputError
from hierlandmarks.progress import counted, say
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import write_text
from hierlandmarks_pipelines.labelfiles import (
    Decision,
    decision_cells,
    decisions_table,
    effective,
    label_files,
    read_decisions,
    read_taxonomy,
)
from hierlandmarks_pipelines.reviewpage import MOST, Thumbnail, review_page, thumbnails
from hierlandmarks_pipelines.reviewrows import Place, ReviewRow, review_rows
from hierlandmarks_pipelines.reviewsheet import Filled, read_sheet, write_sheet

SHEET, PAGE = "review.csv", "index.html"


@dataclass(frozen=True)
class ReviewParams:
    """Settings of the stage.

    Attributes:
        labels: folder with taxonomy.csv and decisions.csv; the bundled one when not given.
    """

    labels: Path | None = None


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
            f"nothing was applied, for {counted(len(quarrels), 'contradiction')}",
            got="; ".join(quarrels),
            do="agree on one each, then apply again, with --overrule to replace another reviewer's",
        )
    return new


def apply_sheets(
    sheets: Sequence[Path], labels: Path, *, reviewer: str, date: str, overrule: bool = False
) -> list[Decision]:
    """Append what filled sheets decide to `decisions.csv` in the folder `labels`; all of it or, on any error, nothing.

    Lines that are there are never touched. A file that ends without a line break gets one. Whoever else applies sheets
    to the same folder meanwhile waits for their turn.

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
    filled = [entry for sheet in sheets for entry in read_sheet(sheet, taxonomy, reviewer, date)]
    with _alone(path.parent):
        new = merge(read_decisions(path, taxonomy), filled, overrule=overrule)
        if new:
            buffer = io.StringIO()
            csv.writer(buffer, lineterminator="\n").writerows(decision_cells(decision) for decision in new)
            old = path.read_bytes().decode("utf-8")
            write_text(path, (old if old.endswith("\n") else old + "\n") + buffer.getvalue())
    return new


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else writes decisions in this folder: two who apply at once must not lose each other's."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _run(params: ReviewParams, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    taxonomy, decisions = label_files(params.labels)
    decided = effective(read_decisions(decisions, read_taxonomy(taxonomy)))
    rows = review_rows(inputs["proposals"], inputs["types"], inputs["subclasses"], decided)
    write_sheet(folders["review"] / SHEET, rows)
    write_text(folders["review"] / PAGE, review_page(rows, _pictures(rows, inputs)))
    waiting = sum(row.decision is None for row in rows)
    inherited = {row.type_id: row.decision for row in rows if row.decision and row.inherited}
    say(f"        {waiting} of {len(rows)} types wait for a decision, {len(inherited)} inherit one from above")
    return {"decisions": decisions_table({**decided, **inherited}.values())}


def _pictures(rows: Sequence[ReviewRow], inputs: Inputs) -> Mapping[str, Sequence[Thumbnail]]:
    """Pictures of landmarks of the types that the page shows, where the run has any."""
    shown = {row.type_id for row in rows[:MOST] if row.decision is None}
    if not shown or "images" not in inputs or "source" not in inputs:
        return {}
    categories = inputs["categories"].to_pylist()
    names = {(row["space"], row["landmark_id"]): row["name"] for row in categories}
    wanted: dict[str, list[Place]] = defaultdict(list)
    for row in inputs["types"].select(["space", "landmark_id", "type_id"]).to_pylist():
        if row["type_id"] in shown:
            wanted[row["type_id"]].append((row["space"], row["landmark_id"]))
    return thumbnails(wanted, inputs["images"], inputs["source"], names)


def _reads(params: ReviewParams) -> tuple[Path, ...]:
    return label_files(params.labels)


STAGE = Stage(
    name="review",
    about="what people decided about types, and a sheet to decide the rest",
    params=ReviewParams,
    needs=("proposals", "types", "subclasses", "categories", "images", "source"),
    makes=("decisions", "review"),
    run=_run,
    reads=_reads,
    optional=("images", "source"),
)
