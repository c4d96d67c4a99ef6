"""Hierarchy: a tree of labels with named levels, valid or refused, and the label arrays it gives.

Levels run fine to coarse, as label columns do everywhere: for Google Landmarks (landmark, label, kind). The root stands
above the coarsest level and is no level. All leaves need not be at the finest level: a label without landmarks is fine.

>>> tree = Hierarchy.from_columns({"species": ["crow", "jay", "owl"], "order": ["song", "song", "owls"]})
>>> tree
Hierarchy(2 order > 3 species)
>>> tree.path("species:jay")
('root', 'order:song', 'species:jay')
>>> labels = tree.label_array(["species:crow", "species:jay", "species:owl"])
>>> level(labels[:1], labels).tolist()
[2, 1, 0]
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks.errors import HierarchyError, UsageError
from hierlandmarks.levels import level as level  # also known from here
from hierlandmarks.params import nearest
from hierlandmarks.schema import NODES
from hierlandmarks.tables import read_csv, read_json, write_csv, write_json
from hierlandmarks.trees import Ints, check_tree, label_columns, nodes_of_columns, nodes_of_graph, nodes_of_json

if TYPE_CHECKING:
    import networkx as nx


class Hierarchy:
    """A tree of labels.

    Nodes are known by `node_id`; each has a level, a name for people and an integer code that counts within its level.

    Args:
        nodes: a table with the columns of `schema.NODES`; the root's parent is "".
        where: what the table is, for messages.

    Attributes:
        levels: names of the levels, fine to coarse, without the root's.
        root: id of the root.

    Raises:
        HierarchyError: not a tree with one level a depth: a cycle, two parents, two roots or none, an unknown parent,
            a node at a wrong level, a code used twice; the message names the node.
        TableError: a column is missing or of a wrong type.
    """

    def __init__(self, nodes: pa.Table, where: str = "the hierarchy") -> None:
        tree = check_tree(nodes, where)
        self._nodes, self._ids, self._parents, self._depths = tree.nodes, tree.ids, tree.parents, tree.depths
        self.root: str = self._ids[int(np.argmin(self._depths))]
        self.levels: tuple[str, ...] = tuple(reversed(tree.levels[1:]))

    # -- from and to --

    @classmethod
    def from_table(cls, nodes: pa.Table, where: str = "the hierarchy") -> Hierarchy:
        """A hierarchy from a table with the columns of `schema.NODES`."""
        return cls(nodes, where)

    def to_table(self) -> pa.Table:
        """The nodes as a table (`schema.NODES`), sorted by node_id."""
        return self._nodes

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str]) -> Hierarchy:
        """Read `hierarchy.csv` (columns of `schema.NODES`).

        Raises:
            MissingDataError: there is no such file.
            TableError: it is no such CSV.
            HierarchyError: it is no tree.
        """
        return cls(read_csv(path, NODES.schema.names), str(path))

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> Hierarchy:
        """Read what `to_json` wrote: a list of nodes, each with the columns of `schema.NODES`.

        Raises:
            MissingDataError, TableError, HierarchyError: as `from_csv`.
        """
        return cls(nodes_of_json(read_json(path), str(path)), str(path))

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the nodes as a JSON list, sorted by id, atomically; equal hierarchies give equal bytes."""
        write_json(path, self._nodes.to_pylist())

    @classmethod
    def from_networkx(cls, graph: nx.DiGraph) -> Hierarchy:
        """A hierarchy from a graph like `graph`: edges from parent to child, nodes with `level`, `name` and `code`.

        Raises:
            HierarchyError: it is no tree, or a node lacks one of the three.
        """
        return cls(nodes_of_graph(graph), "the graph")

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write `hierarchy.csv`, atomically; equal hierarchies give equal bytes."""
        write_csv(path, self._nodes)

    @classmethod
    def from_columns(cls, columns: pd.DataFrame | Mapping[str, Any], levels: Sequence[str] | None = None) -> Hierarchy:
        """A hierarchy from any table of label columns, such as iNaturalist's or CUB's.

        Each distinct value of a column becomes a node `COLUMN:VALUE` below the value beside it in the next column. A
        row counts from its coarse end up to its first empty cell ("" or missing); what is finer gets no node.

        Args:
            columns: rows of labels, one for each image or each finest label.
            levels: the label columns, fine to coarse; all columns in their order if not given.

        Raises:
            UsageError: a column is not there.
            HierarchyError: a value lies below two values of the next column.
        """
        frame, levels = label_columns(columns, levels)
        return cls(nodes_of_columns(frame, levels), "the table of labels")

    @cached_property
    def graph(self) -> nx.DiGraph:
        """The tree as a networkx graph, edges from parent to child; nodes carry `level`, `name` and `code`."""
        import networkx as nx

        graph = nx.DiGraph()
        rows = self._nodes.to_pylist()
        graph.add_nodes_from((r["node_id"], {key: r[key] for key in ("level", "name", "code")}) for r in rows)
        graph.add_edges_from((r["parent_id"], r["node_id"]) for r in rows if r["parent_id"])
        return graph

    # -- one node --

    def parent(self, node_id: str) -> str | None:
        """The node above, None for the root."""
        above = self._parents[self._position(node_id)]
        return None if above < 0 else str(self._ids[above])

    def children(self, node_id: str) -> tuple[str, ...]:
        """The nodes right below, sorted."""
        order, starts = self._children
        position = self._position(node_id)
        return tuple(self._ids[order[starts[position] : starts[position + 1]]])

    def ancestors(self, node_id: str) -> tuple[str, ...]:
        """The nodes above, from the parent up to the root."""
        return self.path(node_id)[-2::-1]

    def path(self, node_id: str) -> tuple[str, ...]:
        """The way from the root down to the node, both included."""
        position, way = self._position(node_id), []
        while position >= 0:
            way.append(str(self._ids[position]))
            position = self._parents[position]
        return tuple(reversed(way))

    def lowest_common_ancestor(self, a: str, b: str) -> str:
        """The finest node that is above both, or one of the two."""
        return str(self.lowest_common_ancestors([a], [b])[0])

    def name(self, node_id: str) -> str:
        """The node's name for people."""
        return str(self._nodes["name"][self._position(node_id)].as_py())

    def level_of(self, node_id: str) -> str:
        """The level the node is at."""
        return str(self._nodes["level"][self._position(node_id)].as_py())

    # -- many nodes --

    def names(self, level: str) -> dict[int, str]:
        """Names of a level's nodes by their integer code, in the order of the codes.

        Raises:
            UsageError: there is no such level; the message names the nearest.
        """
        self._number(level)
        here = self._nodes.filter(pc.equal(self._nodes["level"], level)).sort_by("code")
        return dict(zip(here["code"].to_pylist(), here["name"].to_pylist(), strict=True))

    def codes(self, level: str) -> Ints:
        """Integer labels of all nodes of a level, one row a node as `label_array` gives it, in the order of their ids.

        Raises:
            UsageError: there is no such level; the message names the nearest.
        """
        rows: Ints = self._codes[:-1][self._depths == len(self.levels) - self._number(level)]
        return rows

    def label_array(self, node_ids: Iterable[str]) -> Ints:
        """Integer labels of nodes: one row a node, columns fine to coarse (`levels`); linear, vectorised.

        Args:
            node_ids: ids of leaves or inner nodes; "" gives a row of -1.

        Returns:
            int64, N x L; -1 where the node has no such label: "" everywhere, an inner node in the finer columns.

        Raises:
            UsageError: an id that is not in the hierarchy.
        """
        labels: Ints = self._codes[self._positions(node_ids, blank=True)]  # position -1 is the last row, all -1
        return labels

    def lowest_common_ancestors(self, a: Iterable[str], b: Iterable[str]) -> npt.NDArray[np.object_]:
        """The finest node above both of each pair, or one of the two; linear in pairs times depth.

        Args:
            a: node ids.
            b: as many.

        Raises:
            UsageError: an id that is not in the hierarchy, or not as many of the one as of the other.
        """
        first, second = self._positions(a), self._positions(b)
        if len(first) != len(second):
            raise UsageError("pairs need as many nodes on both sides", got=f"{len(first)} and {len(second)}")
        found = np.full(len(first), self._ids.get_loc(self.root), dtype=np.int64)
        for column in self._above.T[1:]:  # from the coarsest level down, while both ways are one
            here = column[first]
            same = (here >= 0) & (here == column[second])
            found[same] = here[same]
        nodes: npt.NDArray[np.object_] = self._ids.to_numpy(dtype=object)[found]
        return nodes

    def encode(self, columns: pd.DataFrame | Mapping[str, Any]) -> Ints:
        """Integer labels of rows of a table like the one `from_columns` was given.

        Args:
            columns: has a column for each of `levels`; a row counts from its coarse end up to its first empty cell.

        Returns:
            int64, N x L, columns fine to coarse, -1 where empty.

        Raises:
            UsageError: a column is missing, or a value is not in the hierarchy.
            HierarchyError: a value stands beside one that is not its parent.
        """
        frame, levels = label_columns(columns, self.levels)
        finest = pd.Series("", index=frame.index)
        placed = pd.Series(True, index=frame.index)
        for name in reversed(levels):
            placed &= frame[name] != ""
            finest = (f"{name}:" + frame[name]).where(placed, finest)
        labels = self.label_array(finest)
        for column, name in enumerate(levels):
            own = self._ids.get_indexer(pd.Index(f"{name}:" + frame[name], dtype=object))
            wrong = (labels[:, column] >= 0) & (labels[:, column] != self._codes[own, column])
            if wrong.any():
                row = int(np.argmax(wrong))
                raise HierarchyError(
                    f"row {row + 1} puts {finest.iloc[row]} below {name}:{frame[name].iloc[row]}",
                    expected=" < ".join(reversed(self.path(finest.iloc[row])[1:])),
                )
        return labels

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hierarchy) and bool(self._nodes.equals(other._nodes))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        sizes = np.bincount(self._depths)[1:]
        parts = [f"{size} {name}" for size, name in zip(sizes, reversed(self.levels), strict=True)]
        return f"Hierarchy({' > '.join(parts) or 'only a root'})"

    # -- inside --

    def _number(self, level: str) -> int:
        if level not in self.levels:
            raise UsageError(f"there is no level {level!r}", do=nearest(level, self.levels))
        return self.levels.index(level)

    def _positions(self, node_ids: Iterable[str], *, blank: bool = False) -> Ints:
        """Positions of nodes; -1 for "" where that is allowed."""
        listed = node_ids.to_pylist() if isinstance(node_ids, pa.Array | pa.ChunkedArray) else list(node_ids)
        wanted = pd.Index(listed, dtype=object)
        positions: Ints = self._ids.get_indexer(wanted).astype(np.int64)
        unknown = (positions < 0) & ~(blank & (wanted == ""))
        if unknown.any():
            row = int(np.argmax(unknown))
            raise UsageError(f"there is no node {wanted[row]!r} in the hierarchy", got=f"it as number {row + 1}")
        return positions

    def _position(self, node_id: str) -> int:
        try:
            return int(self._ids.get_loc(node_id))  # type: ignore[arg-type]  # ids are unique: an integer
        except KeyError:
            raise UsageError(f"there is no node {node_id!r} in the hierarchy", do=self._advice(node_id)) from None

    def _advice(self, name: str) -> str:
        """What to ask for instead of a name that is no id: the nodes of that name."""
        named = self._nodes.filter(pc.equal(self._nodes["name"], str(name)))["node_id"].to_pylist()
        return f"the id of {name} is {' or '.join(named[:3])}" if named else "ids stand in hierarchy.csv and in graph"

    @cached_property
    def _children(self) -> tuple[Ints, Ints]:
        """Positions ordered by parent, and where each parent's children start in them."""
        order = np.argsort(self._parents, kind="stable")
        return order, np.searchsorted(self._parents[order], np.arange(len(self._ids) + 1))

    @cached_property
    def _above(self) -> Ints:
        """For every node the positions of the nodes on its path by depth, the root's first; -1 below the node."""
        above = np.full((len(self._ids), len(self.levels) + 1), -1, dtype=np.int64)
        for depth in range(len(self.levels) + 1):
            here = np.flatnonzero(self._depths == depth)
            above[here] = above[self._parents[here]]
            above[here, depth] = here
        return above

    @cached_property
    def _codes(self) -> Ints:
        """Codes of every node's path, fine to coarse, with a last row of -1 for "no node"."""
        own = self._nodes["code"].to_numpy()
        codes = np.full((len(self._ids) + 1, len(self.levels)), -1, dtype=np.int64)
        column = len(self.levels) - self._depths
        for depth in range(1, len(self.levels) + 1):  # parents are complete before their children
            here = np.flatnonzero(self._depths == depth)
            codes[here] = codes[self._parents[here]]
            codes[here, column[here]] = own[here]
        return codes
