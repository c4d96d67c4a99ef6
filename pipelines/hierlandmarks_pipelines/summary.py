"""What a run made, in words a newcomer understands, read back from what lies in the run folder."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hierlandmarks.tables import read_json


@dataclass(frozen=True)
class Summary:
    """The same facts twice: as data, and as text for the terminal."""

    data: dict[str, Any]
    text: str


def summarise(out: Path) -> Summary:
    """Sum up a run folder, as far as the run got."""
    data: dict[str, Any] = {"out": str(out), "labels": _labels(out), "release": _release(out), "scores": _scores(out)}
    data["paths"] = _paths(out)
    blocks = [_labels_text(data["labels"]), _release_text(data["release"]), _scores_text(data["scores"])]
    paths = [f"  {what:<12} {path}" for what, path in data["paths"].items()]
    text = "\n\n".join(block for block in [*blocks, "\n".join(["What was made", *paths])] if block)
    return Summary(data, "\n" + text)


def _labels(out: Path) -> dict[str, Any]:
    path = out / "tables" / "assignments.parquet"
    if not path.is_file():
        return {}
    table = pq.read_table(path, columns=["label", "natural_or_human_made", "source"]).to_pylist()
    labelled = [row for row in table if row["label"]]
    return {
        "landmarks": len(table),
        "labelled": len(labelled),
        "labels": len({row["label"] for row in labelled}),
        "kinds": dict(sorted(Counter(row["natural_or_human_made"] for row in labelled).items())),
        "sources": dict(sorted(Counter(row["source"] for row in table).items())),
        "largest": sorted(Counter(row["label"] for row in labelled).items(), key=lambda item: (-item[1], item[0]))[:5],
    }


def _labels_text(labels: dict[str, Any]) -> str:
    if not labels:
        return ""
    kinds = ", ".join(f"{count} {kind}" for kind, count in labels["kinds"].items())
    largest = ", ".join(f"{label.strip()} {count}" for label, count in labels["largest"])
    missing = labels["landmarks"] - labels["labelled"]
    lines = [
        "Labels",
        f"  {labels['labelled']} of {labels['landmarks']} landmarks have one of {labels['labels']} labels ({kinds}).",
        f"  Most frequent: {largest}.",
    ]
    if missing:
        lines.append(f"  {missing} have none; each reason stands in labels/unplaced.csv.")
    return "\n".join(lines)


def _release(out: Path) -> dict[str, Any]:
    path = out / "release" / "MANIFEST.json"
    return read_json(path) if path.is_file() else {}


def _release_text(manifest: dict[str, Any]) -> str:
    if not manifest:
        return ""
    splits: dict[str, int] = {name: split["rows"] for name, split in manifest["splits"].items()}
    sizes = ", ".join(f"{name} {rows:,} images" for name, rows in splits.items())
    return f"Dataset\n  {sizes}."


def _scores(out: Path) -> dict[str, dict[str, float]]:
    found = {}
    for path in sorted((out / "evaluation").glob("*/scores.json")):
        found[path.parent.name] = read_json(path)["report"]["mean"]
    return dict(sorted(found.items(), key=lambda item: -item[1]["h_ap"]))


def _scores_text(scores: dict[str, dict[str, float]]) -> str:
    if not scores:
        return ""
    columns = {
        "h_ap": "H-AP",
        "ndcg": "NDCG",
        "asi": "ASI",
        "map_at_r_0": "mAP@R",
        "recall_at_1_0": "R@1",
        "recall_at_1_1": "R@1 label",
        "recall_at_1_2": "R@1 kind",
    }
    width = max(map(len, scores)) + 2
    lines = ["Retrieval of photos the model was not trained on (0 to 1, higher is better)"]
    lines.append(" " * (width + 2) + "".join(f"{title:>11}" for title in columns.values()))
    for entry, mean in scores.items():
        cells = "".join(f"{mean[key]:>11.3f}" if key in mean else f"{'–':>11}" for key in columns)
        lines.append(f"  {entry:<{width}}{cells}")
    lines.append(
        "  H-AP, NDCG and ASI reward near misses: another church ranks above a lake. R@1: is the first hit right?"
    )
    return "\n".join(lines)


def _paths(out: Path) -> dict[str, str]:
    known = {
        "label CSVs": out / "labels",
        "to review": out / "review" / "review.csv",
        "dataset": out / "release",
        "model": out / "model",
        "leaderboard": out / "leaderboard" / "index.html",
    }
    return {what: str(path) for what, path in known.items() if path.exists()}
