from __future__ import annotations

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierlandmarks import Hierarchy
from hierlandmarks.errors import HierarchyError
from hierlandmarks.hierarchy import level

ROOT = {"node_id": "root", "parent_id": "", "level": "root", "name": "", "code": 0}


@st.composite
def trees(draw: st.DrawFn) -> pa.Table:
    """Trees with one to four levels; inner nodes without children come up too."""
    rows, above = [ROOT], ["root"]
    for depth in range(draw(st.integers(1, 4))):
        parents = draw(st.lists(st.sampled_from(above), min_size=1, max_size=8))
        codes = draw(st.permutations(range(len(parents))))
        above = [f"{depth}.{number}" for number in range(len(parents))]
        rows += [
            {"node_id": node, "parent_id": parent, "level": f"level {depth}", "name": node, "code": code}
            for node, parent, code in zip(above, parents, codes, strict=True)
        ]
    return pa.Table.from_pylist(draw(st.permutations(rows)))


@settings(deadline=None)
@given(trees())
def test_it_agrees_with_networkx(nodes: pa.Table) -> None:
    tree = Hierarchy.from_table(nodes)
    assert nx.is_arborescence(tree.graph)
    for node in nodes["node_id"].to_pylist():
        assert list(tree.path(node)) == nx.shortest_path(tree.graph, tree.root, node)
        assert set(tree.children(node)) == set(tree.graph.successors(node))
        assert {*tree.ancestors(node)} == nx.ancestors(tree.graph, node)


@settings(deadline=None)
@given(trees())
def test_level_is_the_depth_of_the_lowest_common_ancestor(nodes: pa.Table) -> None:
    tree = Hierarchy.from_table(nodes)
    ids = nodes["node_id"].to_pylist()
    labels = tree.label_array(ids)
    levels = level(labels[:, None], labels[None])
    expected = [
        [len(tree.path(nx.lowest_common_ancestor(tree.graph, a, b))) - 1 if a and b else 0 for b in ids] for a in ids
    ]
    assert levels.tolist() == expected
    assert (levels == levels.T).all()


@settings(deadline=None)
@given(trees())
def test_the_table_gives_it_back(nodes: pa.Table) -> None:
    tree = Hierarchy.from_table(nodes)
    assert Hierarchy.from_table(tree.to_table()) == tree
    assert sorted(tree.to_table()["node_id"].to_pylist()) == sorted(nodes["node_id"].to_pylist())


@settings(deadline=None)
@given(trees(), st.data())
def test_one_wrong_parent_never_passes_for_a_tree_of_the_same_shape(nodes: pa.Table, data: st.DataObject) -> None:
    rows = nodes.to_pylist()
    row = data.draw(st.sampled_from([r for r in rows if r["parent_id"]]))
    old = row["parent_id"]
    row["parent_id"] = data.draw(st.sampled_from([r["node_id"] for r in rows]))
    level_of = {r["node_id"]: r["level"] for r in rows}
    # Only a move within the level above keeps a tree.
    if level_of[row["parent_id"]] == level_of[old]:
        assert Hierarchy.from_table(pa.Table.from_pylist(rows)).parent(row["node_id"]) == row["parent_id"]
    else:
        with pytest.raises(HierarchyError):
            Hierarchy.from_table(pa.Table.from_pylist(rows))


@st.composite
def columns(draw: st.DrawFn) -> dict[str, list[str]]:
    """Label columns of some tree, fine to coarse, with cells emptied here and there."""
    fine = draw(st.lists(st.integers(0, 20), min_size=1, max_size=30))
    return {
        name: [draw(st.sampled_from(["", f"{name}{value % size}", f"{name}{value % size}"])) for value in fine]
        for name, size in (("a", 24), ("b", 12), ("c", 3))
    }


@settings(deadline=None)
@given(columns())
def test_columns_encode_as_they_compare(table: dict[str, list[str]]) -> None:
    tree = Hierarchy.from_columns(table)
    labels = tree.encode(table)
    for column, name in enumerate(tree.levels):
        coarser = list(tree.levels)[column:]
        whole = np.array([all(table[c][row] for c in coarser) for row in range(len(table["a"]))])
        assert ((labels[:, column] >= 0) == whole).all()
        names = tree.names(name)
        assert all(names[code] == table[name][row] for row, code in enumerate(labels[:, column].tolist()) if code >= 0)


def test_a_long_chain_and_a_wide_tree_are_fine() -> None:
    wide = {"leaf": [str(n) for n in range(20_000)], "top": [str(n % 7) for n in range(20_000)]}
    tree = Hierarchy.from_columns(wide)
    labels = tree.encode(wide)
    assert len(np.unique(labels[:, 0])) == 20_000
    deep = {f"c{n}": ["x"] for n in range(60)}
    assert len(Hierarchy.from_columns(deep).path("c0:x")) == 61
    with pytest.raises(HierarchyError, match="two parents"):
        Hierarchy.from_columns({**wide, "top": [str(n % 7) for n in range(19_999)] + ["0"]} | {"leaf": ["1"] * 20_000})
