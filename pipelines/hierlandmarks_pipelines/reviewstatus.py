"""How far the review is, and what each further hour of it would settle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from hierlandmarks.errors import UsageError
from hierlandmarks.progress import counted
from hierlandmarks.schema import CATEGORIES, IMAGES, PROPOSALS, SUBCLASSES, TYPES
from hierlandmarks.tables import read_table
from hierlandmarks_pipelines.labelfiles import LABEL, Decision, effective, label_files, read_decisions, read_taxonomy
from hierlandmarks_pipelines.places import leaf_id
from hierlandmarks_pipelines.reviewrows import Place, ReviewRow, review_rows, types_of

RATE = 120  # decisions an hour: half a minute each, as with the founders' own
_SHOWN = 10  # hours in the table for people
_BAR = 24


@dataclass(frozen=True)
class Hour:
    """One hour of further review, in the order of the sheet.

    Attributes:
        hour: 1 is the next one.
        types: decisions made in it.
        landmarks, images: that it settles: none of their types is undecided after it, or one has a label.
        landmarks_left, images_left: still undecided after it.
    """

    hour: int
    types: int
    landmarks: int
    images: int
    landmarks_left: int
    images_left: int


@dataclass(frozen=True)
class Status:
    """How far the review is.

    Attributes:
        types, decided, inherited: all types of the run, those somebody decided about, those that inherit a label.
        landmarks, settled: all landmarks, and those with a type that has a label.
        waiting, waiting_images: landmarks not settled that have an undecided type, and their images.
        stale: decisions about types and landmarks that this run does not have; they are kept.
        rate: decisions an hour that `hours` assumes.
        hours: what each further hour would settle, until nothing waits.
    """

    types: int
    decided: int
    inherited: int
    landmarks: int
    settled: int
    waiting: int
    waiting_images: int
    stale: int
    rate: int
    hours: tuple[Hour, ...]

    def text(self) -> str:
        """The same for people."""
        lines = [
            f"{self.decided:,} of {self.types:,} types are decided, {self.inherited:,} inherit from classes above.",
            f"{self.settled:,} of {self.landmarks:,} landmarks have a label by decision; "
            f"{self.waiting:,} with {self.waiting_images:,} images wait for one.",
        ]
        if self.hours:
            lines += ["", f"Each further hour of review, at {self.rate} decisions an hour:", *_table(self.hours)]
        if self.stale:
            lines += ["", f"{counted(self.stale, 'decision')} about types or landmarks that are not in this run: kept."]
        return "\n".join(lines)


def status(
    types: pa.Table,
    categories: pa.Table,
    rows: Sequence[ReviewRow],
    decisions: Mapping[str, Decision],
    *,
    images: Mapping[Place, int] | None = None,
    rate: int = RATE,
) -> Status:
    """Count what is decided, what that settles, and what each further hour would.

    An hour takes the next `rate` undecided rows. It is assumed that a decision settles a landmark of which no type is
    undecided then, whether it becomes a label or a drop.

    Args:
        types, categories: tables of `schema`.
        rows: as `reviewrows.review_rows` gives them.
        decisions: people's, the one that counts by type id.
        images: how many images each landmark has; none are counted where not given.
        rate: decisions an hour.

    Raises:
        UsageError: a rate below 1.

    Linear in types and landmarks.
    """
    if rate < 1:
        raise UsageError("a review needs decisions", got=f"{rate} an hour", expected="1 or more")
    outcome = {row.type_id: row.decision for row in rows}
    hour_of = {row.type_id: n // rate for n, row in enumerate(r for r in rows if r.decision is None)}
    sizes = images or {}
    settled, landmarks, pictures = 0, Counter[int](), Counter[int]()
    for place, stated in types_of(types).items():
        if any((d := outcome.get(type_id)) is not None and d.action == LABEL for type_id in stated):
            settled += 1
        elif undecided := [hour_of[type_id] for type_id in stated if type_id in hour_of]:
            landmarks[max(undecided)] += 1
            pictures[max(undecided)] += sizes.get(place, 0)
    known = {d.type_id for row in rows if (d := row.decision)} | set(map(leaf_id, categories.to_pylist()))
    counts = Counter(hour_of.values())
    return Status(
        types=len(rows),
        decided=sum(row.decision is not None and not row.inherited for row in rows),
        inherited=sum(row.inherited for row in rows),
        landmarks=categories.num_rows,
        settled=settled,
        waiting=landmarks.total(),
        waiting_images=pictures.total(),
        stale=len(decisions.keys() - known),
        rate=rate,
        hours=tuple(_hours(counts, landmarks, pictures)),
    )


def read_status(out: Path, labels: Path | None = None, rate: int = RATE) -> Status:
    """The status of a run folder, with the decisions as they are in the labels folder now.

    Raises:
        MissingDataError: the run folder lacks a table, or the labels folder a file.
        UsageError: see `status`.
    """
    names = (TYPES, CATEGORIES, PROPOSALS, SUBCLASSES)
    types, categories, proposals, above = (read_table(out / "tables" / f"{s.name}.parquet", s) for s in names)
    taxonomy, path = label_files(labels)
    decisions = effective(read_decisions(path, read_taxonomy(taxonomy)))
    rows = review_rows(proposals, types, above, decisions)
    return status(types, categories, rows, decisions, images=_images(out), rate=rate)


def _images(out: Path) -> dict[Place, int]:
    """Images of every landmark, where the run has images."""
    path = out / "tables" / f"{IMAGES.name}.parquet"
    if not path.is_file():
        return {}
    found = read_table(path, IMAGES).select(["id", "space", "landmark_id"])
    images = found.group_by(["space", "landmark_id"]).aggregate([("id", "count_distinct")]).to_pylist()
    return {(row["space"], row["landmark_id"]): row["id_count_distinct"] for row in images}


def _hours(types: Counter[int], landmarks: Counter[int], images: Counter[int]) -> list[Hour]:
    hours = []
    left, images_left = landmarks.total(), images.total()
    for number in sorted(types):
        left -= landmarks[number]
        images_left -= images[number]
        hours.append(Hour(number + 1, types[number], landmarks[number], images[number], left, images_left))
    return hours


def _table(hours: Sequence[Hour]) -> list[str]:
    """The first hours and the last, with a bar for what is settled until then."""
    total = hours[0].landmarks_left + hours[0].landmarks
    shown = hours if len(hours) <= _SHOWN + 1 else (*hours[:_SHOWN], hours[-1])
    lines = [f"{'hour':>6} {'types':>6} {'landmarks':>10} {'images':>10} {'still undecided':>16}"]
    for hour in shown:
        if hour is hours[-1] and len(shown) < len(hours):
            lines.append(f"{'…':>6}")
        share = 1 - hour.landmarks_left / total if total else 1.0
        cells = f"{hour.hour:>6} {hour.types:>6} {hour.landmarks:>10,} {hour.images:>10,} {hour.landmarks_left:>16,}"
        lines.append(f"{cells}  {'█' * round(_BAR * share):<{_BAR}}".rstrip())
    return lines
