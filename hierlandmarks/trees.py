"""From a table of nodes to a checked tree: where parents are, how deep nodes lie, which level a depth is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from hierlandmarks.errors import HierarchyError, TableError, UsageError
from hierlandmarks.params import nearest
from hierlandmarks.schema import NODES
from hierlandmarks.tables import conform

if TYPE_CHECKING:
    import networkx as nx

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tree:
    """A tree in arrays, one entry a node, sorted by id.

    Attributes:
        nodes: the table (`schema.NODES`).
        ids: node ids.
        parents: position of each node's parent, -1 for the root.
        depths: distance from the root.
        levels: name of the level at each depth, the root's first.
    """

    nodes: pa.Table
    ids: pd.Index[str]
    parents: Ints
    depths: Ints
    levels: tuple[str, ...]


def check_tree(nodes: pa.Table, where: str) -> Tree:
    """Check that a table of nodes is a tree with one level a depth; linear in nodes times depth.

    Args:
        where: what the table is, for messages.

    Raises:
        HierarchyError: it is not; the message names the node.
        TableError: a column is missing or of a wrong type.
    """
    _refuse_repeated(nodes, where)
    nodes = conform(nodes, NODES, where)
    ids = pd.Index(nodes["node_id"].to_numpy(), dtype=object)
    parents = _parents(ids, nodes["parent_id"].to_numpy(), where)
    depths = _depths(ids, parents, where)
    levels = _levels(ids, nodes["level"].to_numpy(), depths, where)
    _check_codes(ids, nodes["code"].to_numpy(), depths, where)
    return Tree(nodes, ids, parents, depths, tuple(levels))


def _refuse_repeated(nodes: pa.Table, where: str) -> None:
    """Name the node that stands twice; with two parents it is more than a repeated row."""
    if not {"node_id", "parent_id"} <= set(nodes.column_names):
        return  # `conform` says so better
    ids = pd.Series(nodes["node_id"].to_numpy(), dtype=object)
    repeated = ids.duplicated().to_numpy()
    if not repeated.any():
        return
    node = ids[int(np.argmax(repeated))]
    parents = list(dict.fromkeys(nodes["parent_id"].filter(pa.array((ids == node).to_numpy())).to_pylist()))
    if len(parents) > 1:
        raise HierarchyError(f"{where}: node {node} has two parents", got=" and ".join(map(repr, parents[:2])))
    raise HierarchyError(f"{where}: node {node} stands there twice", do="remove one of the rows")


def _parents(ids: pd.Index[str], above: npt.NDArray[np.object_], where: str) -> Ints:
    if "" in ids:
        raise HierarchyError(f"{where} has a node without an id", do="give every row a node_id")
    roots = ids[above == ""]
    if len(roots) != 1:
        found = f"roots {roots[0]} and {roots[1]}" if len(roots) else "no node without a parent"
        raise HierarchyError(f"{where} needs one root", got=found, do="give all but one node a parent")
    parents: Ints = ids.get_indexer(pd.Index(above, dtype=object)).astype(np.int64)
    unknown = (parents < 0) & (above != "")
    if unknown.any():
        node = int(np.argmax(unknown))
        raise HierarchyError(f"{where}: node {ids[node]} has the unknown parent {above[node]!r}")
    return parents


def _depths(ids: pd.Index[str], parents: Ints, where: str) -> Ints:
    depths = np.where(parents < 0, 0, -1)
    for depth in range(1, len(depths)):
        below = (depths < 0) & (depths[parents] == depth - 1)
        if not below.any():
            break
        depths[below] = depth
    if (depths < 0).any():
        raise HierarchyError(f"{where} has a cycle", got=" > ".join(_cycle(ids, parents, int(np.argmin(depths)))))
    return depths


def _cycle(ids: pd.Index[str], parents: Ints, position: int) -> list[str]:
    """The cycle that the way up from a node without a root ends in, its first node repeated at the end."""
    way: list[int] = []
    while position not in way:
        way.append(position)
        position = int(parents[position])
    return [str(ids[p]) for p in [*way[way.index(position) :], position]]


def _levels(ids: pd.Index[str], names: npt.NDArray[np.object_], depths: Ints, where: str) -> list[str]:
    """Names of the levels by depth, the root's first; one name a depth, one depth a name."""
    by_depth: list[str] = []
    for depth in range(int(depths.max()) + 1):
        here = np.flatnonzero(depths == depth)
        kinds, counts = np.unique(names[here].astype(str), return_counts=True)
        usual = str(kinds[np.argmax(counts)])
        if len(kinds) > 1 or usual in by_depth:
            odd = here[np.argmax(names[here] != usual)]
            expected = "a level of its own" if len(kinds) == 1 else usual
            raise HierarchyError(
                f"{where}: node {ids[odd]} is at a wrong level for its depth {depth}",
                got=names[odd],
                expected=expected,
            )
        by_depth.append(usual)
    return by_depth


def _check_codes(ids: pd.Index[str], codes: Ints, depths: Ints, where: str) -> None:
    wrong = pd.DataFrame({"depth": depths, "code": codes}).duplicated().to_numpy() | (codes < 0)
    if wrong.any():
        node = int(np.argmax(wrong))
        raise HierarchyError(
            f"{where}: node {ids[node]} has a wrong code",
            got=codes[node],
            expected="a number from 0 used once in its level",
        )


# -- other forms --


def nodes_of_json(content: Any, where: str) -> pa.Table:
    """Nodes from a JSON list of mappings (`schema.NODES`).

    Raises:
        TableError: it is something else.
    """
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise TableError(f"{where} is no hierarchy", expected="a list of nodes, each a mapping")
    try:
        return pa.Table.from_pylist([{name: row[name] for name in NODES.schema.names} for row in content], NODES.schema)
    except (KeyError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
        expected = ", ".join(f"{field.name} ({field.type})" for field in NODES.schema)
        raise TableError(f"{where}: a node is not readable", got=str(error), expected=expected) from error


def nodes_of_graph(graph: nx.DiGraph) -> pa.Table:
    """Nodes from a networkx graph with edges from parent to child and node attributes level, name and code.

    Raises:
        HierarchyError: a node has two parents or lacks an attribute.
    """
    rows = []
    for node, facts in graph.nodes(data=True):
        parents = list(graph.predecessors(node))
        if len(parents) > 1:
            raise HierarchyError(f"the graph: node {node} has two parents", got=" and ".join(map(repr, parents[:2])))
        if lacking := [name for name in ("level", "name", "code") if name not in facts]:
            raise HierarchyError(f"the graph: node {node} lacks {lacking[0]}", do="give every node level, name, code")
        rows.append({"node_id": node, "parent_id": parents[0] if parents else "", **facts})
    return nodes_of_json(rows, "the graph")


# -- tables of label columns --


def label_columns(
    columns: pd.DataFrame | Mapping[str, Any], levels: Sequence[str] | None
) -> tuple[pd.DataFrame, Sequence[str]]:
    """The label columns as text, empty where missing, rows numbered from 0."""
    frame = pd.DataFrame(columns)
    levels = [str(name) for name in frame.columns] if levels is None else levels
    for name in levels:
        if name not in frame.columns:
            raise UsageError(f"there is no label column {name!r}", do=nearest(name, map(str, frame.columns)))
    text = {name: frame[name].astype(object).where(frame[name].notna(), "").map(str).astype(object) for name in levels}
    return pd.DataFrame(text).reset_index(drop=True), levels


def nodes_of_columns(frame: pd.DataFrame, levels: Sequence[str]) -> pa.Table:
    """Nodes `COLUMN:VALUE` below the value in the next column, and a root (`schema.NODES`).

    Args:
        frame: text as `label_columns` gives it; a row counts from its coarse end up to its first empty cell.
        levels: columns, fine to coarse.
    """
    nodes = [pd.DataFrame({"node_id": ["root"], "parent_id": "", "level": "root", "name": "root", "code": 0})]
    parents = pd.Series("root", index=frame.index)
    for name in reversed(levels):
        frame, parents = frame[frame[name] != ""], parents[frame[name] != ""]
        pairs = pd.DataFrame({"node_id": f"{name}:" + frame[name], "parent_id": parents, "name": frame[name]})
        level = pairs.drop_duplicates().sort_values("node_id").assign(level=name)
        nodes.append(level.assign(code=np.arange(len(level))))
        parents = pairs["node_id"]
    return pa.Table.from_pandas(pd.concat(nodes)[NODES.schema.names], preserve_index=False)
