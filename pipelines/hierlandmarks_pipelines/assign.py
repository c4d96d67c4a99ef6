"""Types and decisions to one label a landmark, or an honest none, each with a reason in words: the stage `assign`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from hierlandmarks.errors import TableError, UsageError
from hierlandmarks.schema import ASSIGNMENTS
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import from_rows
from hierlandmarks_pipelines.ancestry import ancestors, parents_of
from hierlandmarks_pipelines.guesses import Guess, learn_guess
from hierlandmarks_pipelines.inherit import INHERITED
from hierlandmarks_pipelines.labelfiles import (
    LABEL,
    Decision,
    Taxonomy,
    decisions_from_table,
    find_decision,
    label_files,
    read_taxonomy,
    taxonomy_table,
)
from hierlandmarks_pipelines.nameclues import Clue, find_clue, lexicon
from hierlandmarks_pipelines.photogallery import Photos
from hierlandmarks_pipelines.places import leaf_id
from hierlandmarks_pipelines.wikimedia.reasons import REASONS, TYPED
from hierlandmarks_pipelines.words import words_file

# How far a decided label can be trusted: all decided types of the landmark agree; they disagree, and the order of the
# rules below had a reason to prefer one; or only the count of landmarks spoke. An order, not measured shares.
AGREED, PREFERRED, COUNTED = 1.0, 0.9, 0.7

Row = Mapping[str, Any]


@dataclass(frozen=True)
class AssignParams:
    """Settings of the stage.

    Attributes:
        name_threshold: least confidence at which a landmark's name (or whatever else is learnt from) gives it a
            label, where no decided type does; above 1 none does.
        labels: folder with taxonomy.csv, words.csv and decisions.csv; the bundled one when not given.
        train: CSV of labelled landmarks to learn from; without one, words of labels and decided types are looked for
            at either end of the name.
        model: text model of the learnt clues, see `encoders.find_encoder`.
        photos: photos of landmarks as one more thing to learn from: those that `train` labels, and those of the run.
    """

    name_threshold: float = 0.8
    labels: Path | None = None
    train: Path | None = None
    model: str = "auto"
    photos: Photos | None = None

    def __post_init__(self) -> None:
        if self.photos and not self.train:
            raise UsageError("assign: photos tell nothing without labelled landmarks", do="set train")


@dataclass(frozen=True)
class _Stated:
    """A type of a landmark, and what was decided about it."""

    row: Row
    decision: Decision | None

    @property
    def label_id(self) -> str:
        """The label it gives, "" if none."""
        return self.decision.label_id if self.decision else ""


def assign(
    categories: pa.Table,
    types: pa.Table,
    subclasses: pa.Table,
    reasons: pa.Table,
    decisions: Mapping[str, Decision],
    taxonomy: Taxonomy,
    *,
    name_threshold: float = 0.8,
    guess: Guess | None = None,
) -> pa.Table:
    """Give every landmark the label that the decisions about its types give it.

    A decision about the landmark itself, under the id of its place, comes first. Of several decided types the first by
    these rules decides: a preferred statement before a normal one; one that has not ended before one that has; a type
    before a class above it; the type of most landmarks; the lowest id. Without a decided type, `guess` or words of the
    name may give a label, if they are sure enough; else there is none.

    Args:
        categories: a `schema.CATEGORIES` table: the landmarks.
        types: a `schema.TYPES` table.
        subclasses: a `schema.SUBCLASSES` table.
        reasons: a `schema.REASONS` table.
        decisions: the decision that counts, by type id.
        taxonomy: the labels; the id of a decision says which, so names and kinds are today's.
        name_threshold: see `AssignParams`.
        guess: what was learnt from labelled landmarks, see `guesses.guesser`; without it words of the name are used.

    Returns:
        A `schema.ASSIGNMENTS` table, one row a landmark. `type` is the type that decided, or else the first by the
        same rules, so that landmarks without a label still show what they are.

    Raises:
        UsageError: the threshold is not a number from 0 on.
        TableError: a type of a landmark that is not in `categories`, or a decision about an unknown label.

    Linear in landmarks and types.
    """
    if not name_threshold >= 0:
        raise UsageError(
            "name_threshold is out of range", got=name_threshold, expected="0 to 1, or above to switch off"
        )
    for decision in decisions.values():
        if decision.action == LABEL and decision.label_id not in taxonomy.by_id:
            advice = taxonomy.advice(decision.label_id)
            raise TableError(f"decisions: {decision.type_id} has the unknown label {decision.label_id!r}", do=advice)
    landmarks = categories.to_pylist()
    stated = _types_by_landmark(landmarks, types)
    why = {(row["space"], row["landmark_id"]): row["reason"] for row in reasons.to_pylist()}
    order = _Order(types, parents_of(subclasses))
    decision_of = cache(lambda type_id, name: find_decision(decisions, type_id, name))
    phrases = lexicon(taxonomy, decisions.values())
    made: list[dict[str, Any]] = []
    open_rows: list[dict[str, Any]] = []  # those that a guess may fill
    for landmark in landmarks:
        key = landmark["space"], landmark["landmark_id"]
        found = [_Stated(row, decision_of(row["type_id"], row["type"])) for row in stated.get(key, ())]
        usable = [one for one in found if one.label_id]
        itself = decisions.get(leaf_id(landmark))
        if itself:
            cells = _by_person(itself, order.sort(found), taxonomy)
        elif usable:
            cells = _decided(order.sort(usable), order, taxonomy)
        else:
            clue = None if guess else find_clue(landmark["name"], phrases)
            cells = _undecided(clue, order.sort(found), why.get(key, ""), taxonomy, name_threshold)
        made.append({**landmark, **cells})
        if guess and not itself and not usable:
            open_rows.append(made[-1])
    if guess and open_rows:
        for row, answer in zip(open_rows, guess(open_rows), strict=True):
            row.update(_guessed(row, answer, name_threshold))
    return from_rows(made, ASSIGNMENTS)


class _Order:
    """The order in which a landmark's types are asked."""

    def __init__(self, types: pa.Table, parents: Mapping[str, Sequence[str]]) -> None:
        self.counts = Counter(types["type_id"].to_pylist())
        self.above = cache(lambda type_id: frozenset(ancestors(type_id, parents)))

    def rank(self, row: Row) -> tuple[bool, bool]:
        """Preferred before normal, then current before ended."""
        return row["rank"] != "preferred", bool(row["ended"])

    def sort(self, found: Sequence[_Stated]) -> list[_Stated]:
        """Types by all rules; a class counts as later than every type of the same rank below it."""
        rows = [one.row for one in found]

        def key(one: _Stated) -> tuple[tuple[bool, bool], int, int, str]:
            row = one.row
            below = sum(row["type_id"] in self.above(r["type_id"]) for r in rows if self.rank(r) == self.rank(row))
            return self.rank(row), below, -self.counts[row["type_id"]], row["type_id"]

        return sorted(found, key=key)

    def reason(self, chosen: Row, other: Row) -> tuple[str, float]:
        """Why one type came before another, and how far that can be trusted."""
        if self.rank(chosen)[0] != self.rank(other)[0]:
            return "the preferred statement", PREFERRED
        if self.rank(chosen) != self.rank(other):
            return "the statement that has not ended", PREFERRED
        if other["type_id"] in self.above(chosen["type_id"]):
            return "the more special type", PREFERRED
        return "the type of more landmarks", COUNTED


def _types_by_landmark(landmarks: Sequence[Row], types: pa.Table) -> dict[tuple[str, str], list[Row]]:
    known = {(row["space"], row["landmark_id"]) for row in landmarks}
    stated: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in types.select(["space", "landmark_id", "type_id", "type", "rank", "ended"]).to_pylist():
        key = row["space"], row["landmark_id"]
        if key not in known:
            raise TableError(
                f"types: {key[0]} landmark {key[1]} is not in the table categories",
                do="check that train and index ids were not mixed",
            )
        stated[key].append(row)
    return stated


def _by_person(decision: Decision, found: Sequence[_Stated], taxonomy: Taxonomy) -> dict[str, Any]:
    """What a person decided about the landmark itself."""
    first = found[0].row if found else {"type_id": "", "type": ""}
    label = taxonomy.by_id.get(decision.label_id)
    because = f": {decision.reason}" if decision.reason else ""
    return {
        "type_id": first["type_id"],
        "type": first["type"],
        "label_id": label.label_id if label else "",
        "label": label.label if label else "",
        "natural_or_human_made": label.natural_or_human_made if label else "",
        "confidence": AGREED if label else 0.0,
        "source": "decision",
        "runner_up": "",
        "reason": f"{decision.reviewer} decided about this landmark{because}",
    }


def _decided(usable: Sequence[_Stated], order: _Order, taxonomy: Taxonomy) -> dict[str, Any]:
    first = usable[0]
    label = taxonomy.by_id[first.label_id]
    reason = f"{first.row['type']} was decided to be {label.label.strip()}"
    if first.decision and first.decision.type_id != first.row["type_id"]:
        reason += f" under the id of its name, {first.decision.type_id}"
    others = [one for one in usable if one.label_id != label.label_id]
    confidence, runner_up, source = AGREED, "", "decision"
    if first.decision and first.decision.reviewer == INHERITED:
        reason = f"{first.row['type']} has no decision of its own; {first.decision.reason}"
        confidence, source = PREFERRED, "ancestor"
    if others:
        why, trust = order.reason(first.row, others[0].row)
        confidence = min(confidence, trust)
        runner_up = taxonomy.by_id[others[0].label_id].label
        reason += f"; {why}, before {others[0].row['type']} ({runner_up.strip()})"
    return {
        "type_id": first.row["type_id"],
        "type": first.row["type"],
        "label_id": label.label_id,
        "label": label.label,
        "natural_or_human_made": label.natural_or_human_made,
        "confidence": confidence,
        "source": source,
        "runner_up": runner_up,
        "reason": reason,
    }


def _guessed(row: Row, cells: Mapping[str, Any], threshold: float) -> dict[str, Any]:
    """A learnt label where it is sure enough, else it stands as the runner-up, for whoever reviews."""
    reason = f"{cells['reason']}; {row['reason']}"
    if cells["label_id"] and cells["confidence"] >= threshold:
        return {**cells, "reason": reason}
    return {"runner_up": cells["label"], "confidence": cells["confidence"], "reason": reason}


def _undecided(
    clue: Clue | None, found: Sequence[_Stated], why: str, taxonomy: Taxonomy, threshold: float
) -> dict[str, Any]:
    """A label from the name where that is sure enough, else none."""
    first = found[0].row if found else {"type_id": "", "type": ""}
    cells: dict[str, Any] = {"type_id": first["type_id"], "type": first["type"], "runner_up": ""}
    missing = _why_none(found, why)
    if clue and clue.confidence >= threshold:
        label = taxonomy.by_id[clue.label_id]
        return {
            **cells,
            "label_id": label.label_id,
            "label": label.label,
            "natural_or_human_made": label.natural_or_human_made,
            "confidence": clue.confidence,
            "source": "name",
            "reason": f"the name has {clue.words!r} {clue.place}; {missing}",
        }
    nothing = dict.fromkeys(("label_id", "label", "natural_or_human_made"), "")
    return {**cells, **nothing, "confidence": 0.0, "source": "none", "reason": missing}


def _why_none(found: Sequence[_Stated], why: str) -> str:
    waiting = [one.row["type"] for one in found if one.decision is None]
    if waiting:
        return f"no decision yet about {', '.join(waiting)}"
    if found:
        dropped = (f"{one.row['type']} ({one.decision.reason})" for one in found if one.decision)
        return f"dropped: {'; '.join(dropped)}"
    if why and why != TYPED:
        return f"no type ({why}): {REASONS.get(why, why)}"
    return "no type is known"


def _run(params: AssignParams, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    taxonomy = read_taxonomy(label_files(params.labels)[0])
    learnt = learn_guess(params.train, params.labels, params.model, photos=params.photos) if params.train else None
    assignments = assign(
        inputs["categories"],
        inputs["types"],
        inputs["subclasses"],
        inputs["reasons"],
        decisions_from_table(inputs["decisions"]),
        taxonomy,
        name_threshold=params.name_threshold,
        guess=learnt.guess if learnt else None,
    )
    return {"assignments": assignments, "taxonomy": taxonomy_table(taxonomy)}


def _reads(params: AssignParams) -> tuple[Path, ...]:
    taxonomy, decisions = label_files(params.labels)
    learnt = (words_file(params.labels), decisions, params.train) if params.train else ()
    seen = (params.photos.listed, params.photos.folder, Path(params.photos.model)) if params.photos else ()
    return (taxonomy, *learnt, *seen)


STAGE = Stage(
    name="assign",
    about="one label a landmark, or none with a reason",
    params=AssignParams,
    needs=("categories", "types", "subclasses", "reasons", "decisions"),
    makes=("assignments", "taxonomy"),
    run=_run,
    reads=_reads,
)
