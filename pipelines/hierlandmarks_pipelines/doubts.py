"""The landmarks whose label is uncertain, as a sheet for a person, most informative first: the stage `doubts`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from hierlandmarks.errors import UsageError
from hierlandmarks.progress import say
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import write_text
from hierlandmarks_pipelines.places import leaf_id
from hierlandmarks_pipelines.reviewpage import MOST, doubts_page, thumbnails
from hierlandmarks_pipelines.reviewrows import Place, ReviewRow
from hierlandmarks_pipelines.reviewsheet import write_sheet

SHEET, PAGE = "doubts.csv", "index.html"


@dataclass(frozen=True)
class DoubtsParams:
    """Settings of the stage.

    Attributes:
        confidence: landmarks whose label is less sure than this are doubtful.
        most: lines of the sheet.
    """

    confidence: float = 0.95
    most: int = 2_000

    def __post_init__(self) -> None:
        if not 0 <= self.confidence <= 1:
            raise UsageError("doubts: confidence is out of range", got=self.confidence, expected="0 to 1")
        if self.most < 1:
            raise UsageError("doubts: a sheet needs lines", got=self.most, expected="1 or more")


@dataclass(frozen=True)
class Doubts:
    """Uncertain places, most informative first, and the landmarks each is.

    Attributes:
        rows: one a place; `type_id` is its leaf id, `type` its name, `proposal` the types that Wikidata states.
        places: the landmarks of each row, by leaf id.
    """

    rows: Sequence[ReviewRow]
    places: Mapping[str, Sequence[Place]]


def doubtful(assignments: pa.Table, images: Mapping[Place, int], confidence: float) -> Doubts:
    """The places whose label is no person's decision and less sure than asked for.

    An answer teaches most where right and wrong are equally likely, and settles more where a place has more images:
    the order is by images · p · (1 - p), p the confidence. A place without any guess comes after all that have one.
    Train and index landmarks of one category are one place.

    Args:
        assignments: a `schema.ASSIGNMENTS` table.
        images: how many images each landmark has; each counts as one where not given.
        confidence: below which a label is uncertain.

    Linear in landmarks, but for sorting.
    """
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in assignments.to_pylist():
        groups[leaf_id(row)].append(row)
    found: list[tuple[float, int, ReviewRow]] = []
    for leaf, rows in groups.items():
        best = max(rows, key=lambda row: (row["confidence"], row["space"], row["landmark_id"]))
        if best["source"] == "decision" or best["confidence"] >= confidence:
            continue
        size = sum(images.get((row["space"], row["landmark_id"]), 1) for row in rows)
        doubt = size * best["confidence"] * (1 - best["confidence"])
        found.append((-doubt, -size, _row(leaf, rows, best)))
    found.sort(key=lambda item: (item[0], item[1], item[2].type_id))
    kept = [row for _, _, row in found]
    return Doubts(kept, {r.type_id: [(g["space"], g["landmark_id"]) for g in groups[r.type_id]] for r in kept})


def _row(leaf: str, rows: Sequence[Mapping[str, Any]], best: Mapping[str, Any]) -> ReviewRow:
    other = f"else {best['runner_up'].strip()}; " if best["runner_up"] else ""
    return ReviewRow(
        type_id=leaf,
        type=best["name"] or leaf.partition(":")[2],
        landmarks=len(rows),
        settles=len(rows),
        examples=", ".join(f"{row['space']} {row['landmark_id']}" for row in rows),
        proposal_id="",
        proposal=best["type"],
        suggestion=(best["label"] or best["runner_up"]).strip(),
        confidence=best["confidence"],
        note=f"{other if best['label'] else ''}{best['reason']}",
    )


def image_counts(images: pa.Table | None) -> dict[Place, int]:
    """Images of every landmark of a `schema.IMAGES` table; none when there is no table."""
    if images is None:
        return {}
    return Counter(zip(images["space"].to_pylist(), images["landmark_id"].to_pylist(), strict=True))


def _run(params: DoubtsParams, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    images = inputs.get("images")
    doubts = doubtful(inputs["assignments"], image_counts(images), params.confidence)
    write_sheet(folders["doubts"] / SHEET, doubts.rows[: params.most])
    pictures = {}
    if images is not None and "source" in inputs:
        wanted = {row.type_id: doubts.places[row.type_id] for row in doubts.rows[:MOST]}
        names = {place: row.type for row in doubts.rows[:MOST] for place in wanted[row.type_id]}
        pictures = thumbnails(wanted, images, inputs["source"], names)
    page = doubts_page(doubts.rows[: params.most], pictures, len(doubts.rows))
    write_text(folders["doubts"] / PAGE, page)
    say(f"        {len(doubts.rows)} landmarks have an uncertain label: doubts/{SHEET}")
    return {}


STAGE = Stage(
    name="doubts",
    about="landmarks of uncertain label, as a sheet to decide",
    params=DoubtsParams,
    needs=("assignments", "images", "source"),
    makes=("doubts",),
    run=_run,
    optional=("images", "source"),
)
