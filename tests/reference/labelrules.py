"""Slow twin of the choice among a landmark's decided types: the rules one after the other, each on what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import networkx as nx

Row = Mapping[str, object]


def choose(rows: Sequence[Row], edges: Iterable[tuple[str, str]], counts: Mapping[str, int]) -> Row:
    """The row that decides.

    Args:
        rows: the landmark's types that have a label by decision.
        edges: (type, direct superclass), acyclic.
        counts: landmarks of each type.
    """
    graph = nx.DiGraph(edges)

    def keep(left: list[Row], good: Callable[[Row], bool]) -> list[Row]:
        return [row for row in left if good(row)] or left

    left = keep(list(rows), lambda row: row["rank"] == "preferred")
    left = keep(left, lambda row: not row["ended"])
    named = {row["type_id"] for row in left}
    above = {a for t in named if t in graph for a in nx.descendants(graph, t)}  # edges point upwards
    left = keep(left, lambda row: row["type_id"] not in above)
    most = max(counts[str(row["type_id"])] for row in left)
    left = keep(left, lambda row: counts[str(row["type_id"])] == most)
    return min(left, key=lambda row: str(row["type_id"]))
