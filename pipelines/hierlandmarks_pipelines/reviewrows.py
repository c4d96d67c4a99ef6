"""What there is to review: every type with what is known and decided about it, in the order to decide."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from hierlandmarks_pipelines.inherit import INHERITED, inherit
from hierlandmarks_pipelines.labelfiles import LABEL, Decision, find_decision

Place = tuple[str, str]  # space, landmark_id


@dataclass(frozen=True)
class ReviewRow:
    """One line of the review: a type, or a landmark of uncertain label.

    Attributes:
        type_id, type: permanent id and name.
        landmarks: how many landmarks have this type.
        settles: of those, how many have no label by decision yet.
        examples: names of a few of them, joined by '; '.
        proposal_id, proposal: the group of like types, and its most central members.
        suggestion, confidence: a label's name ("" for none), and how sure that is, 0 to 1.
        decision: that counts, a person's or an inherited one; None where somebody has to decide.
        note: what else a reviewer should know.
    """

    type_id: str
    type: str
    landmarks: int
    settles: int
    examples: str
    proposal_id: str
    proposal: str
    suggestion: str
    confidence: float
    decision: Decision | None = None
    note: str = ""

    @property
    def inherited(self) -> bool:
        """Whether its label comes from the classes above it."""
        return self.decision is not None and self.decision.reviewer == INHERITED


def review_rows(
    proposals: pa.Table, types: pa.Table, subclasses: pa.Table, decisions: Mapping[str, Decision]
) -> list[ReviewRow]:
    """All types in the order to decide: undecided ones first, those before others that settle most landmarks.

    Args:
        proposals, types, subclasses: tables of `schema`.
        decisions: people's, the one that counts by type id.

    Linear in landmarks and types, but for sorting.
    """
    names = dict(zip(proposals["type_id"].to_pylist(), proposals["type"].to_pylist(), strict=True))
    above = inherit(names, decisions, subclasses)
    known = {t: find_decision(decisions, t, name) or above.decisions.get(t) for t, name in names.items()}
    settles = Counter(t for stated in waiting(types, known).values() for t in stated)
    rows = []
    for cells in proposals.to_pylist():
        type_id = cells["type_id"]
        decision = known[type_id]
        quarrel = above.quarrels.get(type_id, "")
        note = f"the classes above it disagree: {quarrel}" if quarrel else ""
        rows.append(
            ReviewRow(
                type_id=type_id,
                type=cells["type"],
                landmarks=cells["landmarks"],
                settles=settles[type_id],
                examples=cells["examples"],
                proposal_id=cells["proposal_id"],
                proposal=cells["name"],
                suggestion=cells["label"].strip(),
                confidence=cells["confidence"],
                decision=decision,
                note=decision.reason if decision and decision.reviewer == INHERITED else note,
            )
        )
    return sorted(rows, key=_order)


def waiting(types: pa.Table, decisions: Mapping[str, Decision | None]) -> dict[Place, list[str]]:
    """The landmarks that no decided type gives a label, with their undecided types; those that have none left out.

    Args:
        types: a `schema.TYPES` table.
        decisions: the decision about every type, None for undecided ones; a type that is not in it is undecided.
    """
    found = {}
    for place, stated in types_of(types).items():
        outcomes = [decisions.get(type_id) for type_id in stated]
        if not any(d is not None and d.action == LABEL for d in outcomes) and None in outcomes:
            found[place] = [t for t, outcome in zip(stated, outcomes, strict=True) if outcome is None]
    return found


def types_of(types: pa.Table) -> dict[Place, list[str]]:
    """The types of every landmark that has one."""
    found: dict[Place, list[str]] = defaultdict(list)
    columns: Iterable[tuple[str, str, str]] = zip(
        *(types[name].to_pylist() for name in ("space", "landmark_id", "type_id")), strict=True
    )
    for space, landmark, type_id in columns:
        found[space, landmark].append(type_id)
    return found


def _order(row: ReviewRow) -> tuple[bool, bool, int, int, str]:
    return row.decision is not None, not row.inherited, -row.settles, -row.landmarks, row.type_id
