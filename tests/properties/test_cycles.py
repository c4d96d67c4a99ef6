"""Breaking cycles: on any graph the result is the slow twin's, acyclic, and independent of the order of edges."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from hierlandmarks_pipelines.wikimedia.closure import break_cycles
from tests.reference.cycles import break_cycles_slowly

NODES = [f"Q{n}" for n in range(1, 9)]
EDGES = st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), max_size=30)
DEPTHS = st.fixed_dictionaries({node: st.integers(0, 4) for node in NODES})


@settings(max_examples=300, deadline=None)
@given(edges=EDGES, depth=DEPTHS, order=st.randoms(use_true_random=False))
def test_breaking_cycles(edges, depth, order):
    kept, cycles = break_cycles(edges, depth)
    slow_kept, slow_cycles = break_cycles_slowly(edges, depth)
    assert kept == slow_kept
    assert cycles.keys() == slow_cycles.keys()
    graph = nx.DiGraph(kept)
    assert nx.is_directed_acyclic_graph(graph)
    for (child, parent), cycle in cycles.items():
        assert (cycle[0], cycle[1], cycle[-1]) == (child, parent, child)
        assert all(graph.has_edge(*step) for step in pairwise(cycle[1:]))
    shuffled = list(edges)
    order.shuffle(shuffled)
    assert break_cycles(shuffled, depth) == (kept, cycles)
