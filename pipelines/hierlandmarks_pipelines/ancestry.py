"""The classes above a type: walks over the `subclasses` table."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import pyarrow as pa


def parents_of(subclasses: pa.Table) -> dict[str, list[str]]:
    """The direct superclasses of every type in a `schema.SUBCLASSES` table, sorted."""
    parents: dict[str, list[str]] = {}
    for child, parent in zip(subclasses["type_id"].to_pylist(), subclasses["parent_id"].to_pylist(), strict=True):
        parents.setdefault(child, []).append(parent)
    return {child: sorted(above) for child, above in parents.items()}


def ancestors(type_id: str, parents: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """All classes above a type with their distance, nearest first; breadth first, linear in the edges above it.

    Ends on cyclic input too, so that a wrong table gives a wrong answer and never a hang. The type itself is left out.

    >>> ancestors("chapel", {"chapel": ["church"], "church": ["building", "sacred place"]})
    {'church': 1, 'building': 2, 'sacred place': 2}
    """
    found = {type_id: 0}
    waiting = deque([type_id])
    while waiting:
        here = waiting.popleft()
        for parent in parents.get(here, ()):
            if parent not in found:
                found[parent] = found[here] + 1
                waiting.append(parent)
    del found[type_id]
    return found
