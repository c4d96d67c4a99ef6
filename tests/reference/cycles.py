"""Slow twin of `closure.break_cycles`: every edge is tested on the whole graph, component or not."""

from __future__ import annotations

import networkx as nx


def break_cycles_slowly(edges, depth):
    """Kept edges and cycles by the rule in words: an edge is left out if its parent already leads to its child."""
    graph, cycles, kept = nx.DiGraph(), {}, []
    graph.add_nodes_from(depth)
    for child, parent in sorted(set(edges), key=lambda e: (depth[e[0]], int(e[0][1:]), int(e[1][1:]))):
        if nx.has_path(graph, parent, child):
            cycles[child, parent] = (child, *nx.shortest_path(graph, parent, child))
        else:
            graph.add_edge(child, parent)
            kept.append((child, parent))
    return tuple(kept), cycles
