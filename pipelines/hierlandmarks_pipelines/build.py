"""Assignments to the hierarchy and the released label files, every landmark placed or explained: the stage `build`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from hierlandmarks.errors import HierarchyError, TableError
from hierlandmarks.hierarchy import Hierarchy
from hierlandmarks.progress import say
from hierlandmarks.schema import HIERARCHICAL_CSV, KINDS, LEAVES, NODES, SPACES, UNPLACED
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import from_rows, write_csv, write_text
from hierlandmarks_pipelines.labelfiles import Taxonomy, taxonomy_from_table
from hierlandmarks_pipelines.labeltree import grow, placed
from hierlandmarks_pipelines.labelview import page
from hierlandmarks_pipelines.places import leaf_id

ROOT = "root"
CONFLICTS = ("space", "landmark_id", "category", "assigned", "placed", "because_of", "reason")

Row = Mapping[str, Any]
_NO_LABEL = {"label_id": "", "label": "", "natural_or_human_made": ""}


@dataclass(frozen=True)
class BuildParams:
    """The stage has no settings: what it makes follows from the assignments."""


@dataclass(frozen=True)
class Built:
    """What `build` makes.

    Attributes:
        nodes, leaves, unplaced: tables of `schema`.
        released: for each of `schema.SPACES`, a table with the columns of `schema.HIERARCHICAL_CSV`.
        conflicts: landmarks whose label is not the one assigned to them, because the other landmark of the same
            category has a better founded one; columns CONFLICTS.
    """

    nodes: pa.Table
    leaves: pa.Table
    unplaced: pa.Table
    released: Mapping[str, pa.Table]
    conflicts: pa.Table


def build(assignments: pa.Table) -> Built:
    """Make one tree of all landmarks: root, kinds, labels, landmarks.

    A landmark as a place is its Commons category: landmarks of one category, in train and index alike, are one leaf.
    Where they were assigned different labels, the best founded one holds for all: the highest confidence, then a
    decision before a name, then train before index, then the lower id. Every landmark without a label is in
    `unplaced`, with the reason the assignment gives.

    Args:
        assignments: a `schema.ASSIGNMENTS` table.

    Returns:
        The tree and the tables to release, each landmark either a leaf or unplaced.

    Raises:
        HierarchyError: labels that make no tree: a label of two kinds, of an unknown kind, or a cycle.
        TableError: a space that is neither train nor index.

    Linear in landmarks, but for sorting.
    """
    rows = assignments.to_pylist()
    _check_spaces(rows)
    leaf_ids = [leaf_id(row) for row in rows]
    chosen = _best(rows, leaf_ids)
    edges: dict[str, dict[str, str]] = {"kind": {}, "label": {}, "landmark": {}}
    names = {ROOT: ROOT}
    leaves, unplaced, moved = [], [], []
    released: dict[str, list[Row]] = {space: [] for space in SPACES}
    for row, leaf in zip(rows, leaf_ids, strict=True):
        source = chosen.get(leaf)
        label = source if source is not None else _NO_LABEL
        released[row["space"]].append({**row, **{name: label[name] for name in _NO_LABEL}})
        if source is None:
            unplaced.append(row)
            continue
        kind, label_id = label["natural_or_human_made"], label["label_id"]
        if kind not in KINDS:
            raise HierarchyError(
                f"the label {label_id} is of no known kind", got=repr(kind), expected=" or ".join(KINDS)
            )
        _link(edges["kind"], kind, ROOT, names, kind)
        _link(edges["label"], label_id, kind, names, label["label"])
        _link(edges["landmark"], leaf, label_id, names, _leaf_name(leaf, source))
        leaves.append({**row, "node_id": leaf})
        if row["label_id"] != label_id:
            moved.append(_moved(row, source))
    return Built(
        nodes=Hierarchy.from_table(_nodes(edges, names), "the hierarchy of labels").to_table(),
        leaves=from_rows(leaves, LEAVES),
        unplaced=from_rows(unplaced, UNPLACED),
        released={space: _released(released[space]) for space in SPACES},
        conflicts=pa.table({name: pa.array([row[name] for row in moved], pa.string()) for name in CONFLICTS}),
    )


def _check_spaces(rows: Iterable[Row]) -> None:
    for row in rows:
        if row["space"] not in SPACES:
            raise TableError(
                f"assignments: landmark {row['landmark_id']} is in no known space",
                got=repr(row["space"]),
                expected=" or ".join(SPACES),
            )


def _best(rows: Sequence[Row], leaf_ids: Sequence[str]) -> dict[str, Row]:
    """The best founded labelled row of every leaf that has one."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row, leaf in zip(rows, leaf_ids, strict=True):
        if row["label_id"]:
            groups[leaf].append(row)

    def order(row: Row) -> tuple[float, bool, int, tuple[bool, int, str]]:
        return -row["confidence"], row["source"] != "decision", SPACES.index(row["space"]), _number(row["landmark_id"])

    return {leaf: min(group, key=order) for leaf, group in groups.items()}


def _link(parents: dict[str, str], node: str, parent: str, names: dict[str, str], name: str) -> None:
    """Note the one parent of a node; a second one is refused, naming both."""
    if (before := parents.setdefault(node, parent)) != parent:
        raise HierarchyError(f"{node} has two parents", got=f"{before} and {parent}", do="keep one in taxonomy.csv")
    names.setdefault(node, name)


def _leaf_name(leaf: str, row: Row) -> str:
    return str(row["name"]) or leaf.partition(":")[2]


def _nodes(edges: Mapping[str, Mapping[str, str]], names: Mapping[str, str]) -> pa.Table:
    """All nodes; codes count per level in the order of the ids."""
    rows = [{"node_id": ROOT, "parent_id": "", "level": "root", "name": ROOT, "code": 0}]
    for level, parents in edges.items():
        for code, node in enumerate(sorted(parents)):
            rows.append(
                {"node_id": node, "parent_id": parents[node], "level": level, "name": names[node], "code": code}
            )
    columns = {field.name: pa.array([row[field.name] for row in rows], field.type) for field in NODES.schema}
    return pa.table(columns)


def _moved(row: Row, source: Row) -> Row:
    return {
        "space": row["space"],
        "landmark_id": row["landmark_id"],
        "category": row["category"],
        "assigned": row["label"],
        "placed": source["label"],
        "because_of": f"{source['space']} {source['landmark_id']}",
        "reason": source["reason"],
    }


def _released(rows: Sequence[Row]) -> pa.Table:
    """Rows in the columns and the order of GLDv2's own files: by number, not by text."""
    ordered = sorted(rows, key=lambda row: _number(row["landmark_id"]))
    sources = ("landmark_id", "category", "type", "label", "natural_or_human_made")
    return pa.table(
        {
            column: pa.array([row[source] for row in ordered], pa.string())
            for column, source in zip(HIERARCHICAL_CSV, sources, strict=True)
        }
    )


def _number(landmark_id: str) -> tuple[bool, int, str]:
    plain = landmark_id.isascii() and landmark_id.isdigit()
    return not plain, int(landmark_id) if plain else 0, landmark_id


def write_labels(folder: Path, built: Built) -> None:
    """Write the labels as released: two `*_label_to_hierarchical.csv`, hierarchy, unplaced and conflicts."""
    for space in SPACES:
        write_csv(folder / f"{space}_label_to_hierarchical.csv", built.released[space])
    write_csv(folder / "hierarchy.csv", built.nodes)
    write_csv(folder / "unplaced.csv", built.unplaced)
    write_csv(folder / "conflicts.csv", built.conflicts)


def tree_page(assignments: pa.Table, built: Built, taxonomy: Taxonomy) -> str:
    """The tree to browse, as an HTML page of one file."""
    views = grow(placed(assignments, built.leaves), Hierarchy.from_table(built.nodes), taxonomy)
    return page(views, "The labels", built.unplaced.num_rows)


def _run(params: BuildParams, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    built = build(inputs["assignments"])
    taxonomy = taxonomy_from_table(inputs["taxonomy"])
    write_labels(folders["labels"], built)
    write_text(folders["labels"] / "tree.html", tree_page(inputs["assignments"], built, taxonomy))
    say(f"        {built.leaves.num_rows} landmarks placed, {built.unplaced.num_rows} unplaced with a reason")
    if built.conflicts.num_rows:
        say(f"        {built.conflicts.num_rows} took the label of the same category elsewhere: labels/conflicts.csv")
    return {"nodes": built.nodes, "leaves": built.leaves, "unplaced": built.unplaced}


STAGE = Stage(
    name="build",
    about="one tree, every landmark placed or explained",
    params=BuildParams,
    needs=("assignments", "taxonomy"),
    makes=("nodes", "leaves", "unplaced", "labels"),
    run=_run,
)
