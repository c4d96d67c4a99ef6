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
from hierlandmarks.params import nearest
from hierlandmarks.schema import NODES
from hierlandmarks.tables import read_csv, write_csv
from hierlandmarks.trees import Ints, check_tree, label_columns, nodes_of_columns

if TYPE_CHECKING:
    import networkx as nx


BLOCK = 1 << 16  # label cells


def level(a: npt.ArrayLike, b: npt.ArrayLike) -> Ints:
    """The level of pairs: matching labels counted from the coarse end up to the first that differs.

    Linear in the number of pairs. -1 (an empty label) matches nothing, another -1 included.

    Args:
        a: integer labels, shape (..., L), columns fine to coarse.
        b: the same; leading axes broadcast, so `level(a[:, None], b[None])` gives every pair of two sets.

    Returns:
        Levels 0..L in the broadcast shape without the last axis: L the same finest label, 0 nothing in common.

    Raises:
        UsageError: the two have different numbers of label columns, or are no integers.

    >>> level([[5, 2, 0], [5, 2, 0], [-1, 2, 0]], [[5, 2, 0], [6, 2, 1], [-1, 2, 0]]).tolist()
    [3, 0, 2]
    """
    a, b = np.asarray(a), np.asarray(b)
    if not a.ndim or not b.ndim or a.shape[-1] != b.shape[-1]:
        raise UsageError("the two label arrays do not fit", got=f"shapes {a.shape} and {b.shape}", expected="equal L")
    if a.dtype.kind not in "iu" or b.dtype.kind not in "iu":
        raise UsageError("labels are integer codes", got=f"{a.dtype} and {b.dtype}")
    a, b = np.broadcast_arrays(a, b)
    levels = np.empty(a.shape[:-1], dtype=np.int64)
    flat = levels[None] if a.ndim == 1 else levels
    a, b = (a[None], b[None]) if a.ndim == 1 else (a, b)
    step = max(1, BLOCK // max(1, a[0].size if len(a) else 1))
    for start in range(0, len(a), step):  # blocks that stay in the processor's cache: six times faster
        block = slice(start, start + step)
        flat[block] = _level(a[block], b[block])
    return levels


def _level(a: Ints, b: Ints) -> Ints:
    same = np.ones(a.shape[:-1], dtype=bool)
    count = np.zeros(a.shape[:-1], dtype=np.int64)
    for column in reversed(range(a.shape[-1])):
        same &= (a[..., column] == b[..., column]) & (a[..., column] >= 0)
        count += same
    return count


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
        shared = [x for x, y in zip(self.path(a), self.path(b), strict=False) if x == y]
        return shared[-1]

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
        listed = node_ids.to_pylist() if isinstance(node_ids, pa.Array | pa.ChunkedArray) else list(node_ids)
        wanted = pd.Index(listed, dtype=object)
        positions = self._ids.get_indexer(wanted)
        unknown = (positions < 0) & (wanted != "")
        if unknown.any():
            row = int(np.argmax(unknown))
            raise UsageError(f"there is no node {wanted[row]!r} in the hierarchy", got=f"it as number {row + 1}")
        labels: Ints = self._codes[positions]  # position -1 is the last row, all -1
        return labels

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

    def _position(self, node_id: str) -> int:
        try:
            return int(self._ids.get_loc(node_id))  # type: ignore[arg-type]  # ids are unique: an integer
        except KeyError:
            raise UsageError(f"there is no node {node_id!r} in the hierarchy") from None

    @cached_property
    def _children(self) -> tuple[Ints, Ints]:
        """Positions ordered by parent, and where each parent's children start in them."""
        order = np.argsort(self._parents, kind="stable")
        return order, np.searchsorted(self._parents[order], np.arange(len(self._ids) + 1))

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
