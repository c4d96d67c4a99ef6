"""The numbers that describe a dataset: sizes by split, the tree with counts, licences; what card and `info` print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks.hierarchy import Hierarchy

COLUMNS = ("space", "landmark_id", "landmark", "label", "label_source", "license")


@dataclass(frozen=True)
class _Counts:
    """What is counted of one split, far smaller than its rows."""

    images: int
    placed: pa.Table  # landmark, label, count_all: of images with a label
    leaves: npt.NDArray[np.int64]  # landmark codes with a label
    licences: dict[str, int]
    sources: pa.Table  # space, landmark_id, label_source: distinct


def overview(splits: Iterable[tuple[str, pa.Table]], hierarchy: Hierarchy) -> dict[str, Any]:
    """Count what is in a dataset; linear in rows, a few passes over columns, one piece in memory at a time.

    Args:
        splits: name and rows of each split, with `COLUMNS` of `schema.RELEASE` at least; taken one by one. A split may
            come in several pieces.
        hierarchy: the tree their codes belong to.

    Returns:
        Plain values: `splits` (name -> images, landmarks, labels, unlabelled images), `tree` (level -> nodes, coarse to
        fine), `labels` (one mapping for each label with images: label, kind, landmarks, images by split; natural first,
        then by landmarks), `licences` (licence -> images, most frequent first; "" where none is recorded), `sources`
        (label source -> landmarks, by id in their space), `shared` (pair of splits -> landmarks in both).
        Landmarks are distinct leaves except in `sources`; one that is in two splits counts once in `labels`.
    """
    counts: dict[str, _Counts] = {}
    for name, table in splits:
        found = _count(table)
        counts[name] = _merged(counts[name], found) if name in counts else found
    return {
        "splits": {name: _sizes(found) for name, found in counts.items()},
        "tree": {name: len(hierarchy.names(name)) for name in reversed(hierarchy.levels)},
        "labels": _labels({name: found.placed for name, found in counts.items()}, hierarchy),
        "licences": _by_frequency(*(found.licences for found in counts.values())),
        "sources": _sources([found.sources for found in counts.values()]),
        "shared": {
            f"{a} and {b}": len(np.intersect1d(counts[a].leaves, counts[b].leaves, assume_unique=True))
            for a, b in combinations(counts, 2)
        },
    }


def _count(table: pa.Table) -> _Counts:
    placed = _distinct(table, ("landmark", "label")).filter(pc.field("label") >= 0)
    leaves = np.unique(placed["landmark"].to_numpy())
    sources = _distinct(table, ("space", "landmark_id", "label_source")).filter(pc.field("landmark_id") != "")
    return _Counts(table.num_rows, placed, leaves[leaves >= 0], _frequencies(table["license"]), sources)


def _merged(a: _Counts, b: _Counts) -> _Counts:
    placed = pa.concat_tables([a.placed, b.placed]).group_by(["landmark", "label"]).aggregate([("count_all", "sum")])
    sources = pa.concat_tables([table.drop_columns("count_all") for table in (a.sources, b.sources)])
    return _Counts(
        images=a.images + b.images,
        placed=placed.rename_columns({"count_all_sum": "count_all"}),
        leaves=np.union1d(a.leaves, b.leaves),
        licences=_by_frequency(a.licences, b.licences),
        sources=_distinct(sources, tuple(sources.column_names)),
    )


def _distinct(table: pa.Table, columns: tuple[str, ...]) -> pa.Table:
    """The distinct rows of these columns, with how often each is there as `count_all`."""
    return table.select(list(columns)).group_by(list(columns), use_threads=False).aggregate([([], "count_all")])


def _sizes(found: _Counts) -> dict[str, int]:
    return {
        "images": found.images,
        "landmarks": len(found.leaves),
        "labels": len(found.placed["label"].unique()),
        "unlabelled": found.images - int(pc.sum(found.placed["count_all"], min_count=0).as_py()),
    }


def _labels(placed: Mapping[str, pa.Table], hierarchy: Hierarchy) -> list[dict[str, Any]]:
    if not placed:
        return []
    everywhere = _distinct(pa.concat_tables(list(placed.values())), ("landmark", "label"))["label"].to_numpy()
    images = {
        name: np.bincount(table["label"].to_numpy(), weights=table["count_all"].to_numpy())
        for name, table in placed.items()
    }
    _, label, kind = hierarchy.levels
    names, kinds = hierarchy.names(label), hierarchy.names(kind)
    above = {int(codes[1]): int(codes[2]) for codes in hierarchy.codes(label)}
    table = [
        {
            "label": names[code],
            "kind": kinds[above[code]],
            "landmarks": count,
            "images": {name: int(found[code]) if code < len(found) else 0 for name, found in images.items()},
        }
        for code, count in enumerate(np.bincount(everywhere).tolist())
        if count
    ]
    return sorted(table, key=lambda row: (row["kind"] != "natural", -row["landmarks"], row["label"]))


def _sources(found: list[pa.Table]) -> dict[str, int]:
    """Landmarks of each source; one that is in several splits counts once."""
    if not found:
        return {}
    landmarks = _distinct(pa.concat_tables(found), ("space", "landmark_id", "label_source"))
    return _by_frequency(_frequencies(landmarks["label_source"]))


def _frequencies(values: pa.ChunkedArray) -> dict[str, int]:
    return {row["values"]: row["counts"] for row in values.value_counts().to_pylist()}


def _by_frequency(*counts: Mapping[str, int]) -> dict[str, int]:
    """Values with their frequencies added up, the most frequent first."""
    total: Counter[str] = Counter()
    for some in counts:
        total.update(some)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))
