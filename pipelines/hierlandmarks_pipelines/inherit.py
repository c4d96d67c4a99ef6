"""Labels that types inherit from the decided classes above them.

A type nobody decided about gets the label of the nearest decided classes above it ("subclass of"), if those agree:
walking up, every way ends at the first class with a decision, and all labels found must be one. A class that was
dropped does not tell and neither agrees nor disagrees. Where labels differ, a person has to decide.

Leaving out one class of the bundled world "mini" at a time and inheriting instead gives the label that people chose
for 35 of the 39 that inherit one (`tests/unit/pipelines/test_inherit.py`), so a decision of the type's own always wins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from hierlandmarks_pipelines.ancestry import parents_of
from hierlandmarks_pipelines.labelfiles import LABEL, Decision, find_decision

INHERITED = "inherited"  # stands where a person's decision has its reviewer


@dataclass(frozen=True)
class Inheritance:
    """What types without a decision of their own get from above.

    Attributes:
        decisions: by type id, for types whose decided ancestors agree; `reviewer` is INHERITED, `reason` names them.
        quarrels: by type id, for types whose decided ancestors disagree: who says what, in words.
    """

    decisions: Mapping[str, Decision]
    quarrels: Mapping[str, str]


def inherit(types: Mapping[str, str], decisions: Mapping[str, Decision], subclasses: pa.Table) -> Inheritance:
    """Find what every undecided type inherits.

    Args:
        types: name by type id.
        decisions: the decision that counts, by type id.
        subclasses: a `schema.SUBCLASSES` table.

    Linear in types times the edges between each and its nearest decided classes.
    """
    parents, names = parents_of(subclasses), _names(subclasses) | dict(types)
    found: dict[str, Decision] = {}
    quarrels: dict[str, str] = {}
    for type_id, name in types.items():
        if find_decision(decisions, type_id, name) is not None:
            continue
        above = nearest_labels(type_id, parents, names, decisions)
        if len({decision.label_id for _, decision in above}) == 1:
            found[type_id] = _inherited(type_id, name, above)
        elif above:
            quarrels[type_id] = ", ".join(f"{d.label.strip()} by {names[a]} ({a})" for a, d in above)
    return Inheritance(found, quarrels)


def nearest_labels(
    type_id: str, parents: Mapping[str, Sequence[str]], names: Mapping[str, str], decisions: Mapping[str, Decision]
) -> list[tuple[str, Decision]]:
    """The first decided class on every way up from a type, with its decision, nearest first; dropped ones left out."""
    found, seen, waiting = [], {type_id}, deque([type_id])
    while waiting:
        for parent in parents.get(waiting.popleft(), ()):
            if parent in seen:
                continue
            seen.add(parent)
            decision = find_decision(decisions, parent, names[parent])
            if decision is None:
                waiting.append(parent)
            elif decision.action == LABEL:
                found.append((parent, decision))
    return found


def _inherited(type_id: str, name: str, above: Sequence[tuple[str, Decision]]) -> Decision:
    ancestor, first = above[0]
    others = f" and {len(above) - 1} more" if len(above) > 1 else ""
    latest = max(decision.date for _, decision in above)
    reason = f"inherited from {first.type} ({ancestor}){others}"
    return replace(first, type_id=type_id, type=name, reviewer=INHERITED, date=latest, reason=reason)


def _names(subclasses: pa.Table) -> dict[str, str]:
    columns = [subclasses[name].to_pylist() for name in ("type_id", "type", "parent_id", "parent")]
    child, name, parent, above = columns
    return dict(zip([*child, *parent], [*name, *above], strict=True))
