"""The 'subclass of' graph above a set of types: breadth first with a depth cap, and without its cycles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

from hierlandmarks_pipelines.wikimedia.entities import number

Edge = tuple[str, str]  # type, parent


@dataclass(frozen=True)
class Closure:
    """An acyclic 'subclass of' graph.

    Attributes:
        depth: steps from the nearest type (0 for the types themselves), for every item reached.
        edges: kept edges, in the order of the fixed rule.
        cycles: edges left out, each with the cycle it would have closed: type, parent, ..., type.
    """

    depth: Mapping[str, int]
    edges: tuple[Edge, ...]
    cycles: Mapping[Edge, tuple[str, ...]]


def close(
    types: Iterable[str], parents_of: Callable[[Sequence[str]], Mapping[str, Sequence[str]]], max_depth: int
) -> Closure:
    """Everything above `types`, asked for level by level.

    Args:
        types: where to start.
        parents_of: the parents of every item of one level; called once a level.
        max_depth: items at this depth are named, and their parents are not asked for.

    Linear in items and edges, except inside cycles (see `break_cycles`).
    """
    level = sorted(set(types), key=number)
    depth = dict.fromkeys(level, 0)
    edges: list[Edge] = []
    for distance in range(1, max_depth + 1):
        parents = parents_of(level)
        edges += [(child, parent) for child in level for parent in parents[child]]
        level = sorted({parent for child in level for parent in parents[child]} - depth.keys(), key=number)
        depth |= dict.fromkeys(level, distance)
        if not level:
            break
    kept, cycles = break_cycles(edges, depth)
    return Closure(depth, kept, cycles)


def break_cycles(
    edges: Iterable[Edge], depth: Mapping[str, int]
) -> tuple[tuple[Edge, ...], dict[Edge, tuple[str, ...]]]:
    """Leave out the edges that close a cycle, by a rule that depends on the graph alone.

    Edges are taken nearest the types first (depth of the child, then its number, then the parent's number); an edge
    is left out when the edges kept so far already lead from its parent back to its child. So every edge left out
    closes a cycle with kept ones, and no order of answers can change which.

    Only edges inside a strongly connected component are tested (Tarjan 1972, linear); those tests are quadratic
    in the size of the component.

    >>> break_cycles([("Q1", "Q2"), ("Q2", "Q1")], {"Q1": 0, "Q2": 1})
    ((('Q1', 'Q2'),), {('Q2', 'Q1'): ('Q2', 'Q1', 'Q2')})
    """
    ordered = sorted(set(edges), key=lambda edge: (depth[edge[0]], number(edge[0]), number(edge[1])))
    graph = nx.DiGraph(ordered)
    component = {item: n for n, items in enumerate(nx.strongly_connected_components(graph)) for item in items}
    inside = nx.DiGraph()  # kept edges within components
    kept: list[Edge] = []
    cycles: dict[Edge, tuple[str, ...]] = {}
    for child, parent in ordered:
        if component[child] != component[parent]:
            kept.append((child, parent))
            continue
        inside.add_nodes_from((child, parent))
        if nx.has_path(inside, parent, child):
            cycles[child, parent] = (child, *nx.shortest_path(inside, parent, child))
        else:
            inside.add_edge(child, parent)
            kept.append((child, parent))
    return tuple(kept), cycles
