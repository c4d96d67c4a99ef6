"""The numbers that describe a dataset: sizes by split, the tree with counts, licences; what card and `info` print."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from hierlandmarks.hierarchy import Hierarchy

COLUMNS = (
    "space",
    "landmark_id",
    "hierarchical_label",
    "natural_or_human_made",
    "landmark",
    "label",
    "label_source",
    "license",
)


def overview(splits: Mapping[str, pa.Table], hierarchy: Hierarchy) -> dict[str, Any]:
    """Count what is in a dataset; linear in rows.

    Args:
        splits: rows of each split, with `COLUMNS` of `schema.RELEASE` at least.
        hierarchy: the tree their codes belong to.

    Returns:
        Plain values: `splits` (name -> images, landmarks, labels, unlabelled images), `tree` (level -> nodes, coarse to
        fine), `labels` (one mapping for each label with images: label, kind, landmarks, images by split; natural first,
        then by landmarks), `licences` (licence -> images, most frequent first; "" where none is recorded), `sources`
        (label source -> landmarks, by id in their space), `shared` (pair of splits -> landmarks in both).
        Landmarks are distinct leaves except in `sources`; one that is in two splits counts once in `labels`.
    """
    frames = [table.select(list(COLUMNS)).to_pandas().assign(split=name) for name, table in splits.items()]
    rows = pd.concat(frames, ignore_index=True)
    named, labelled = rows[rows["landmark_id"] != ""], rows[rows["label"] >= 0]
    return {
        "splits": {name: _sizes(rows[rows["split"] == name]) for name in splits},
        "tree": {name: len(hierarchy.names(name)) for name in reversed(hierarchy.levels)},
        "labels": _labels(labelled, list(splits)),
        "licences": _counts(rows["license"]),
        "sources": _counts(named.drop_duplicates(["space", "landmark_id"])["label_source"]),
        "shared": _shared({name: labelled[labelled["split"] == name]["landmark"] for name in splits}),
    }


def _sizes(rows: pd.DataFrame) -> dict[str, int]:
    return {
        "images": len(rows),
        "landmarks": int(rows.loc[rows["landmark"] >= 0, "landmark"].nunique()),
        "labels": int(rows.loc[rows["label"] >= 0, "label"].nunique()),
        "unlabelled": int((rows["label"] < 0).sum()),
    }


def _labels(rows: pd.DataFrame, splits: list[str]) -> list[dict[str, Any]]:
    landmarks = rows.groupby("label")["landmark"].nunique().to_dict()
    images = rows.groupby(["label", "split"]).size().to_dict()
    names = rows.drop_duplicates("label")[["label", "hierarchical_label", "natural_or_human_made"]]
    table = [
        {
            "label": str(label),
            "kind": str(kind),
            "landmarks": int(landmarks[code]),
            "images": {split: int(images.get((code, split), 0)) for split in splits},
        }
        for code, label, kind in names.itertuples(index=False)
    ]
    return sorted(table, key=lambda row: (row["kind"] != "natural", -row["landmarks"], row["label"]))


def _counts(values: pd.Series[str]) -> dict[str, int]:
    """Values with their frequency, the most frequent first."""
    counts = {str(value): int(count) for value, count in values.value_counts().items()}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _shared(landmarks: Mapping[str, pd.Series[int]]) -> dict[str, int]:
    pairs = combinations(landmarks.items(), 2)
    return {f"{a} and {b}": len(np.intersect1d(in_a, in_b)) for (a, in_a), (b, in_b) in pairs}
