from __future__ import annotations

import pickle
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from hierlandmarks import Hierarchy
from hierlandmarks.errors import HierarchyError, MissingDataError, TableError, UsageError
from hierlandmarks.hierarchy import level
from tests import tiny

ROWS = [
    ("root", "", "root", "root", 0),
    ("k:h", "root", "kind", "human-made", 0),
    ("k:n", "root", "kind", "natural", 1),
    ("l:church", "k:h", "label", "church", 0),
    ("l:lake", "k:n", "label", "lake", 1),
    ("p:Bled", "l:lake", "landmark", "Lake Bled", 0),
    ("p:Ulm", "l:church", "landmark", "Ulm Minster", 1),
    ("p:York", "l:church", "landmark", "York Minster", 2),
]
COLUMNS = ["node_id", "parent_id", "level", "name", "code"]


def table(rows: list[tuple[str, str, str, str, int]]) -> pa.Table:
    return pa.table(dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True)))


def changed(node: str, **cells: object) -> list[tuple[str, str, str, str, int]]:
    frame = pd.DataFrame(ROWS, columns=COLUMNS)
    for name, value in cells.items():
        frame.loc[frame["node_id"] == node, name] = value
    return list(frame.itertuples(index=False, name=None))


@pytest.fixture
def tree() -> Hierarchy:
    return Hierarchy.from_table(table(ROWS))


def test_walks(tree: Hierarchy) -> None:
    assert tree.levels == ("landmark", "label", "kind")
    assert tree.root == "root"
    assert tree.parent("p:Ulm") == "l:church"
    assert tree.parent("root") is None
    assert tree.children("l:church") == ("p:Ulm", "p:York")
    assert tree.children("p:Ulm") == ()
    assert tree.children("root") == ("k:h", "k:n")
    assert tree.ancestors("p:Ulm") == ("l:church", "k:h", "root")
    assert tree.path("p:Ulm") == ("root", "k:h", "l:church", "p:Ulm")
    assert tree.ancestors("root") == ()
    assert tree.lowest_common_ancestor("p:Ulm", "p:York") == "l:church"
    assert tree.lowest_common_ancestor("p:Ulm", "p:Bled") == "root"
    assert tree.lowest_common_ancestor("p:Ulm", "l:church") == "l:church"
    assert tree.name("p:Ulm") == "Ulm Minster"
    assert tree.level_of("p:Ulm") == "landmark"
    assert tree.names("label") == {0: "church", 1: "lake"}
    assert len(tree) == 8
    assert "p:Ulm" in tree
    assert "p:Nowhere" not in tree
    assert repr(tree) == "Hierarchy(2 kind > 2 label > 3 landmark)"


def test_label_array_runs_fine_to_coarse(tree: Hierarchy) -> None:
    labels = tree.label_array(["p:York", "", "l:lake", "k:h", "root", "p:York"])
    assert labels.dtype == np.int64
    assert labels.tolist() == [[2, 0, 0], [-1, -1, -1], [-1, 1, 1], [-1, -1, 0], [-1, -1, -1], [2, 0, 0]]
    assert tree.label_array([]).shape == (0, 3)


@pytest.mark.parametrize("kind", [list, tuple, iter, np.array, pd.Series, pa.array, lambda x: pa.chunked_array([x])])
def test_label_array_takes_any_column_of_ids(tree: Hierarchy, kind: object) -> None:
    assert tree.label_array(kind(["p:Ulm", "p:Bled"])).tolist() == [[1, 0, 0], [0, 1, 1]]  # type: ignore[operator]


def test_a_wrong_id_is_named(tree: Hierarchy) -> None:
    with pytest.raises(UsageError, match="p:Atlantis"):
        tree.label_array(["p:Ulm", "p:Atlantis"])
    for ask in (tree.parent, tree.children, tree.path, tree.name):
        with pytest.raises(UsageError, match="p:Atlantis"):
            ask("p:Atlantis")
    with pytest.raises(UsageError, match="did you mean landmark"):
        tree.names("landmarks")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([*ROWS, ("p:Ulm", "l:lake", "landmark", "Ulm", 1)], r"p:Ulm has two parents; got 'l:church' and 'l:lake'"),
        ([*ROWS, ROWS[-1]], r"p:York stands there twice"),
        (changed("k:n", parent_id=""), r"one root; got roots k:n and root"),
        (ROWS[1:], r"one root; got no node without a parent"),
        (changed("root", parent_id="p:Ulm"), r"no node without a parent"),
        (changed("l:lake", parent_id="l:pond"), r"l:lake has the unknown parent 'l:pond'"),
        (changed("k:n", parent_id="p:Bled"), r"a cycle; got k:n > p:Bled > l:lake > k:n"),
        (changed("l:lake", parent_id="l:lake"), r"a cycle; got l:lake > l:lake"),
        (changed("p:Ulm", parent_id="k:h"), r"p:Ulm is at a wrong level.*got landmark, expected label"),
        (changed("p:Ulm", level="label"), r"p:Ulm is at a wrong level.*got label, expected landmark"),
        (changed("root", level="kind"), r"k:h is at a wrong level|level of its own"),
        (changed("p:York", code=1), r"p:York has a wrong code; got 1"),
        (changed("p:York", code=-1), r"p:York has a wrong code; got -1"),
        (changed("root", node_id=""), r"a node without an id"),
        (changed("root", node_id="")[:1], r"a node without an id"),
    ],
)
def test_what_is_no_tree_is_refused(rows: list[tuple[str, str, str, str, int]], words: str) -> None:
    with pytest.raises(HierarchyError, match=words) as caught:
        Hierarchy.from_table(table(rows), "hierarchy.csv")
    assert "hierarchy.csv" in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_table_without_its_columns_is_refused() -> None:
    with pytest.raises(TableError, match="code"):
        Hierarchy.from_table(table(ROWS).drop_columns(["code"]))
    with pytest.raises(HierarchyError, match="one root"):
        Hierarchy.from_table(table(ROWS).slice(0, 0))


def test_tables_csv_and_pickle_give_it_back(tree: Hierarchy, tmp_path: Path) -> None:
    tree.to_csv(tmp_path / "hierarchy.csv")
    again = Hierarchy.from_csv(tmp_path / "hierarchy.csv")
    again.to_csv(tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "hierarchy.csv").read_bytes()
    for copy in (again, Hierarchy.from_table(tree.to_table()), pickle.loads(pickle.dumps(tree))):
        assert copy == tree
        assert copy.label_array(["p:York"]).tolist() == [[2, 0, 0]]
    assert Hierarchy.from_table(table(ROWS[:-1])) != tree


def test_rows_in_any_order_give_the_same_tree(tree: Hierarchy) -> None:
    assert Hierarchy.from_table(table(ROWS[::-1])) == tree


def test_csv_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"none\.csv"):
        Hierarchy.from_csv(tmp_path / "none.csv")
    path = tmp_path / "hierarchy.csv"
    path.write_text("node_id,parent_id,level,name,code\nroot,,root,root,first\n")
    with pytest.raises(TableError, match=r"hierarchy\.csv"):
        Hierarchy.from_csv(path)


def test_graph_is_the_tree_in_networkx(tree: Hierarchy) -> None:
    assert nx.is_arborescence(tree.graph)
    assert nx.descendants(tree.graph, "l:church") == {"p:Ulm", "p:York"}
    assert tree.graph.nodes["l:lake"] == {"level": "label", "name": "lake", "code": 1}


# -- any table of label columns --

BIRDS = pd.DataFrame(
    {
        "species": ["crow", "jay", "owl", "crow", "", "kiwi"],
        "genus": ["corvus", "garrulus", "strix", "corvus", "strix", ""],
        "order": ["song", "song", "owls", "song", "owls", "kiwis"],
    }
)


def test_columns_become_a_tree() -> None:
    tree = Hierarchy.from_columns(BIRDS)
    assert tree.levels == ("species", "genus", "order")
    assert tree.path("species:owl") == ("root", "order:owls", "genus:strix", "species:owl")
    assert tree.names("species") == {0: "crow", 1: "jay", 2: "owl"}  # no kiwi: its genus is empty
    assert tree.encode(BIRDS).tolist() == [
        [0, 0, 2],
        [1, 1, 2],
        [2, 2, 1],
        [0, 0, 2],
        [-1, 2, 1],
        [-1, -1, 0],
    ]


def test_columns_may_be_chosen_and_of_any_type() -> None:
    table = {"image": ["a", "b", "c"], "class": [3, 1, 10], "super": ["x", "x", None]}
    tree = Hierarchy.from_columns(table, ["class", "super"])
    assert tree.levels == ("class", "super")
    assert tree.encode(table).tolist() == [[1, 0], [0, 0], [-1, -1]]


def test_a_value_below_two_is_refused() -> None:
    with pytest.raises(HierarchyError, match=r"species:crow has two parents; got 'genus:corvus' and 'genus:strix'"):
        Hierarchy.from_columns({"species": ["crow", "crow"], "genus": ["corvus", "strix"]})


def test_encode_refuses_what_the_tree_does_not_hold() -> None:
    tree = Hierarchy.from_columns(BIRDS)
    with pytest.raises(UsageError, match="species:dodo"):
        tree.encode({"species": ["dodo"], "genus": ["strix"], "order": ["owls"]})
    with pytest.raises(HierarchyError, match=r"row 2 puts species:owl below genus:corvus"):
        tree.encode({"species": ["owl", "owl"], "genus": ["strix", "corvus"], "order": ["owls", "owls"]})
    with pytest.raises(UsageError, match="'order'"):
        tree.encode({"species": ["owl"], "genus": ["strix"]})
    with pytest.raises(UsageError, match="did you mean genus"):
        Hierarchy.from_columns(BIRDS, ["species", "genuss"])


@pytest.mark.shared
def test_the_78_labels_of_gldv2_are_a_tree(shared: Path) -> None:
    path = shared / "data/gldv2/index_label_to_hierarchical.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    levels = ["landmark_id", "hierarchical_label", "natural_or_human_made"]
    tree = Hierarchy.from_columns(frame, levels)
    assert repr(tree) == f"Hierarchy(2 natural_or_human_made > 78 hierarchical_label > {len(frame)} landmark_id)"
    assert "hierarchical_label:ocean area " in tree
    labels = tree.encode(frame)
    assert [len(np.unique(labels[:, column])) for column in range(3)] == [len(frame), 78, 2]


# -- levels of pairs --


def test_level_counts_from_the_coarse_end() -> None:
    a = [[1, 2, 3], [9, 2, 3], [1, 9, 3], [1, 2, 9], [-1, 2, 3], [-1, -1, 3], [-1, -1, -1]]
    assert level(a, [[1, 2, 3]]).tolist() == [3, 2, 1, 0, 2, 1, 0]
    assert level(a, a).tolist() == [3, 3, 3, 3, 2, 1, 0]


def test_level_broadcasts() -> None:
    labels = Hierarchy.from_table(table(ROWS)).label_array(["p:Bled", "p:Ulm", "p:York"])
    assert level(labels[:, None], labels[None]).tolist() == [[3, 0, 0], [0, 3, 2], [0, 2, 3]]
    assert level(labels[0], labels[1]).shape == ()
    assert level(np.zeros((0, 3), int), np.zeros((0, 3), int)).shape == (0,)


@pytest.mark.parametrize("b", [[[1, 2]], [[1.0, 2.0, 3.0]], 3])
def test_level_refuses_what_does_not_fit(b: object) -> None:
    with pytest.raises(UsageError):
        level([[1, 2, 3]], b)  # type: ignore[arg-type]


def test_levels_of_the_tiny_world() -> None:
    tree = Hierarchy.from_table(tiny.nodes())
    bridges = tree.label_array(
        ["commons:Golden Gate", "commons:Tower Bridge", "commons:Ulm Minster", "commons:Loch Ness"]
    )
    assert level(bridges[:1], bridges).tolist() == [3, 2, 1, 0]


# -- other forms --


def test_json_and_networkx_and_back(tree: Hierarchy, tmp_path: Path) -> None:
    tree.to_json(tmp_path / "tree.json")
    assert Hierarchy.from_json(tmp_path / "tree.json") == tree
    first = (tmp_path / "tree.json").read_bytes()
    Hierarchy.from_json(tmp_path / "tree.json").to_json(tmp_path / "tree.json")
    assert (tmp_path / "tree.json").read_bytes() == first
    assert Hierarchy.from_networkx(tree.graph) == tree


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ("{}", TableError, "is no hierarchy; expected a list of nodes"),
        ("[1]", TableError, "is no hierarchy"),
        ('[{"node_id": "root"}]', TableError, "a node is not readable; got 'parent_id'"),
        ("[", TableError, "not valid JSON"),
        ("[]", HierarchyError, "needs one root"),
    ],
)
def test_json_that_is_no_tree(tmp_path: Path, content: str, error: type[Exception], words: str) -> None:
    (tmp_path / "tree.json").write_text(content)
    with pytest.raises(error, match=words):
        Hierarchy.from_json(tmp_path / "tree.json")
    with pytest.raises(MissingDataError):
        Hierarchy.from_json(tmp_path / "nowhere.json")


def test_graphs_that_are_no_tree(tree: Hierarchy) -> None:
    graph = tree.graph.copy()
    graph.add_edge("k:n", "l:church")
    with pytest.raises(HierarchyError, match="l:church has two parents; got 'k:h' and 'k:n'"):
        Hierarchy.from_networkx(graph)
    graph = tree.graph.copy()
    del graph.nodes["p:Ulm"]["code"]
    with pytest.raises(HierarchyError, match="p:Ulm lacks code"):
        Hierarchy.from_networkx(graph)
    graph = tree.graph.copy()
    graph.remove_edge("root", "k:n")
    with pytest.raises(HierarchyError, match="needs one root"):
        Hierarchy.from_networkx(graph)


def test_common_ancestors_of_many_are_those_of_networkx(tree: Hierarchy) -> None:
    nodes = [row[0] for row in ROWS]
    pairs = [(a, b) for a in nodes for b in nodes]
    expected = [nx.lowest_common_ancestor(tree.graph, a, b) for a, b in pairs]
    assert tree.lowest_common_ancestors(*zip(*pairs, strict=True)).tolist() == expected
    assert tree.lowest_common_ancestors([], []).tolist() == []
    with pytest.raises(UsageError, match="no node 'p:Nowhere'"):
        tree.lowest_common_ancestors(["p:Ulm"], ["p:Nowhere"])
    with pytest.raises(UsageError, match="as many nodes"):
        tree.lowest_common_ancestors(["p:Ulm"], [])
    with pytest.raises(UsageError, match="no node ''"):
        tree.lowest_common_ancestors([""], ["p:Ulm"])


def test_a_name_where_an_id_is_asked(tree: Hierarchy) -> None:
    with pytest.raises(UsageError, match="no node 'church' in the hierarchy: the id of church is l:church"):
        tree.children("church")
    with pytest.raises(UsageError, match=r"no node 'Ulm' in the hierarchy: ids stand in hierarchy\.csv"):
        tree.path("Ulm")


def test_codes_of_a_level(tree: Hierarchy) -> None:
    assert tree.codes("label").tolist() == [[-1, 0, 0], [-1, 1, 1]]
    with pytest.raises(UsageError, match="did you mean label"):
        tree.codes("labels")


def test_other_sets_load_the_same_way() -> None:
    """Seven columns as iNaturalist has them, and CUB's species with family and order."""
    ranks = ["species", "genus", "family", "order", "class", "phylum", "kingdom"]
    animals = [
        ("Corvus corax", "Corvus", "Corvidae", "Passeriformes", "Aves", "Chordata", "Animalia"),
        ("Corvus corone", "Corvus", "Corvidae", "Passeriformes", "Aves", "Chordata", "Animalia"),
        ("Pica pica", "Pica", "Corvidae", "Passeriformes", "Aves", "Chordata", "Animalia"),
        ("Quercus robur", "Quercus", "Fagaceae", "Fagales", "Magnoliopsida", "Tracheophyta", "Plantae"),
    ]
    frame = pd.DataFrame(animals, columns=ranks)
    found = Hierarchy.from_columns(frame)
    assert found.levels == tuple(ranks)
    labels = found.encode(frame)
    assert level(labels[:1], labels).tolist() == [7, 6, 5, 0]
    first = found.lowest_common_ancestors(["species:Corvus corax"] * 3, [f"species:{row[0]}" for row in animals[1:]])
    assert first.tolist() == ["genus:Corvus", "family:Corvidae", "root"]
    cub = pd.DataFrame(
        {"class": ["001.Laysan_Albatross", "002.Sooty_Albatross"], "family": "Diomedeidae", "order": "P"}
    )
    assert level(*Hierarchy.from_columns(cub).encode(cub)[:, None]).tolist() == [2]
