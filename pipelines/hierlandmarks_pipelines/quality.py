"""How good labels are, in numbers: coverage, depth, branching, balance, agreement with others, calibration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from hierlandmarks.errors import TableError, UsageError
from hierlandmarks.hierarchy import Hierarchy
from hierlandmarks.schema import ASSIGNMENTS, NODES, SPACES
from hierlandmarks.tables import read_csv, read_table
from hierlandmarks_pipelines.calibration import reliability

COLUMNS = ("space", "landmark_id", "label", "confidence", "source")
_TOP = 10


def quality(
    landmarks: pd.DataFrame,
    hierarchy: Hierarchy | None = None,
    published: Path | None = None,
    calibration: Path | None = None,
) -> dict[str, Any]:
    """Everything the quality report says, as plain values; equal input gives equal values.

    Args:
        landmarks: every landmark with `COLUMNS`; label "" where it has none, confidence 0 to 1.
        hierarchy: the tree they are placed in; depth and branching are left out without.
        calibration: curve measured on landmarks set aside, as `labels assign --calibration` writes it; without it the
            landmarks that have a published label are the measure.
        published: CSV with landmark_id, hierarchical_label; its space is what its name begins with, else train.

    Returns:
        `coverage`, `balance`, and, None where there is nothing to say, `shape`, `agreement` and `calibration`.

    Raises:
        MissingDataError, TableError: `published` cannot be read.
    """
    agreement, curve = _compared(landmarks, published) if published else (None, None)
    if calibration:
        curve = read_curve(calibration)
    return {
        "coverage": coverage(landmarks),
        "balance": balance(Counter(label for label in landmarks["label"] if label)),
        "shape": shape(hierarchy) if hierarchy else None,
        "agreement": agreement,
        "calibration": curve,
    }


def coverage(landmarks: pd.DataFrame) -> dict[str, Any]:
    """Landmarks and how many of them have a label: by space, and by the source of the label."""
    labelled = landmarks[landmarks["label"] != ""]
    sources = Counter(labelled["source"].tolist())
    spaces = {
        space: {
            "landmarks": int((landmarks["space"] == space).sum()),
            "labelled": int((labelled["space"] == space).sum()),
        }
        for space in SPACES
        if (landmarks["space"] == space).any()
    }
    return {"spaces": spaces, "sources": dict(sorted(sources.items(), key=lambda item: (-item[1], item[0])))}


def balance(counts: Mapping[str, int]) -> dict[str, Any]:
    """How evenly landmarks are spread over the labels that have any.

    `effective` is the exponential of the entropy (Hill 1973, order 1): as many labels of equal size would be as
    diverse. `evenness` is the entropy over its highest value, the logarithm of the number of labels (Pielou 1966).
    """
    sizes = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if not sizes:
        return {"labels": 0}
    shares = np.array([count for _, count in sizes], dtype=np.float64) / sum(counts.values())
    entropy = float(-(shares * np.log(shares)).sum())
    return {
        "labels": len(sizes),
        "largest": {"label": sizes[0][0], "landmarks": sizes[0][1], "share": round(float(shares[0]), 6)},
        "smallest": {"label": sizes[-1][0], "landmarks": sizes[-1][1]},
        "top_share": round(float(shares[:_TOP].sum()), 6),
        "effective": round(float(np.exp(entropy)), 4),
        "evenness": round(entropy / float(np.log(len(sizes))), 6) if len(sizes) > 1 else 1.0,
    }


def shape(hierarchy: Hierarchy) -> dict[str, Any]:
    """Depth of the leaves, counted in steps from the root, and children of the nodes of each inner level."""
    nodes = hierarchy.to_table().to_pandas()
    children = nodes["parent_id"].value_counts()
    levels = ["root", *reversed(hierarchy.levels)]
    leaves = nodes[~nodes["node_id"].isin(children.index)]
    depths = leaves["level"].map({level: depth for depth, level in enumerate(levels)})
    branching = {}
    for level in levels[:-1]:
        counts = nodes.loc[nodes["level"] == level, "node_id"].map(children).fillna(0).astype(int)
        if len(counts):
            numbers = {"fewest": int(counts.min()), "median": float(counts.median()), "most": int(counts.max())}
            branching[level] = {"nodes": len(counts), **numbers, "mean": round(float(counts.mean()), 4)}
    depth = {str(d): int(n) for d, n in sorted(depths.value_counts().items())}
    return {"depth": depth, "branching": branching}


def _compared(landmarks: pd.DataFrame, published: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Agreement with published labels, and how far the confidences of the labels compared can be trusted."""
    space = next((space for space in SPACES if published.name.startswith(f"{space}_")), SPACES[0])
    known = read_csv(published, ("landmark_id", "hierarchical_label"), key=("landmark_id",), may_be_empty=True)
    truth = dict(zip(known["landmark_id"].to_pylist(), known["hierarchical_label"].to_pylist(), strict=True))
    here = landmarks[landmarks["space"] == space]
    both = here.assign(published=here["landmark_id"].map(truth).fillna(""))
    both = both[(both["published"] != "") & (both["label"] != "")]
    agreement = {"file": published.name, **agreed(both["published"].tolist(), both["label"].tolist())}
    if both.empty:
        return agreement, None
    right = (both["published"] == both["label"]).to_numpy()
    return agreement, calibrated(both["confidence"].to_numpy(np.float64), right)


def agreed(published: Sequence[str], assigned: Sequence[str]) -> dict[str, Any]:
    """Agreement of two lists of labels: as a whole, per label, and as a table of confusions.

    Returns:
        `landmarks`, `same`; `labels`: label, published, assigned and same of each, by name; `confusions`:
        (published, assigned, landmarks) of every pair that occurs, by name.
    """
    pairs = Counter(zip(published, assigned, strict=True))
    names = sorted({name for pair in pairs for name in pair})
    given, got = Counter(published), Counter(assigned)
    labels = [{"label": n, "published": given[n], "assigned": got[n], "same": pairs[n, n]} for n in names]
    same = sum(pairs[name, name] for name in names)
    confusions = [[*pair, count] for pair, count in sorted(pairs.items())]
    return {"landmarks": len(published), "same": same, "labels": labels, "confusions": confusions}


def calibrated(confidence: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The calibration curve and its expected error; bins without landmarks are left out."""
    curve = reliability(confidence, right)
    bins = [
        {"landmarks": row["landmarks"], "confidence": round(row["confidence"], 6), "right": round(row["right"], 6)}
        for row in curve.table().to_pylist()
        if row["landmarks"]
    ]
    return {"landmarks": len(right), "error": round(curve.error, 6), "bins": bins}


def read_curve(path: Path) -> dict[str, Any]:
    """A calibration curve from a CSV: landmarks, mean confidence and share right of every bin.

    Raises:
        MissingDataError: there is no such file.
        TableError: a missing column, or a cell that is no number.
    """
    table = read_csv(path, ("landmarks", "confidence", "right")).to_pandas()
    frame = table.apply(pd.to_numeric, errors="coerce").where(table != "", 0)
    shares = frame[["confidence", "right"]].to_numpy(np.float64)
    if frame["landmarks"].isna().any() or not ((shares >= 0) & (shares <= 1)).all():
        raise TableError(f"{path} is no calibration curve", expected="numbers of landmarks, and shares of 0 to 1")
    frame = frame[frame["landmarks"] > 0].astype({"landmarks": int})
    total = int(frame["landmarks"].sum())
    gaps = (frame["confidence"] - frame["right"]).abs() * frame["landmarks"]
    bins = frame.round(6).to_dict("records")
    return {"landmarks": total, "error": round(float(gaps.sum()) / max(total, 1), 6), "bins": bins}


def of_tables(
    assignments: pa.Table, nodes: pa.Table, published: Path | None, calibration: Path | None = None
) -> dict[str, Any]:
    """The quality of a run's tables; see `quality`."""
    frame = assignments.select(list(COLUMNS)).to_pandas()
    return quality(frame, Hierarchy.from_table(nodes), published, calibration)


def read_quality(source: Path, published: Path | None, calibration: Path | None = None) -> dict[str, Any]:
    """The quality of a run folder, or of a CSV as `labels assign --output` writes it.

    Raises:
        MissingDataError: there is no such file, or the run has not got as far as `build`.
        TableError: a CSV that lacks a column, or a confidence that is no number.
    """
    if source.is_dir():
        assignments, nodes = (read_table(source / "tables" / f"{s.name}.parquet", s) for s in (ASSIGNMENTS, NODES))
        return of_tables(assignments, nodes, published, calibration)
    table = read_csv(source, ("landmark_id", "hierarchical_label", "confidence"), optional=("source",))
    frame = table.rename_columns({"hierarchical_label": "label"}).to_pandas()
    confidence = pd.to_numeric(frame["confidence"].replace("", "0"), errors="coerce")
    if not confidence.between(0, 1).all():
        row = int(np.argmin(confidence.between(0, 1).to_numpy()))
        got = repr(frame["confidence"].iloc[row])
        raise TableError(f"{source} row {row + 2}: confidence is wrong", got=got, expected="0 to 1")
    if published and published.resolve() == source.resolve():
        raise UsageError("labels cannot be compared with themselves", got=str(source))
    space = next((space for space in SPACES if source.name.startswith(f"{space}_")), SPACES[0])
    return quality(frame.assign(space=space, confidence=confidence), published=published, calibration=calibration)
