"""A dataset in words: what `hierlandmarks info` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hierlandmarks.dataset import Dataset
from hierlandmarks.overview import COLUMNS, overview
from hierlandmarks.progress import counted

SAMPLE = 6
SHOWN = ["id", "split", "name", "hierarchical_label", "natural_or_human_made", "license"]


def describe(dataset: Dataset) -> dict[str, Any]:
    """Name, version, content hash, the counts of `overview`, and a sample of rows, evenly spread.

    Args:
        dataset: loaded whole (`split=None`) or in part.
    """
    table = dataset.table(["split", *COLUMNS])
    split = table["split"].to_pandas()
    present = [name for name in dataset.splits if dataset.split in (None, name)]
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(SAMPLE, len(dataset))).astype(int))
    return {
        "name": dataset.name,
        "version": dataset.version,
        "content_hash": dataset.content_hash,
        **overview(((name, table.filter((split == name).to_numpy())) for name in present), dataset.hierarchy),
        "sample": dataset.table(SHOWN).take(rows).to_pylist(),
    }


def text(facts: Mapping[str, Any]) -> str:
    """The same for people."""
    lines = [f"{facts['name']} {facts['version']}  (content {facts['content_hash'][:12]})", "", "Splits"]
    for name, size in facts["splits"].items():
        parts = ", ".join(counted(size[f"{noun}s"], noun) for noun in ("image", "landmark", "label"))
        lines.append(f"  {name:<12} {parts}" + (f", {size['unlabelled']:,} unlabelled" if size["unlabelled"] else ""))
    lines += ["", "Hierarchy: " + " > ".join(counted(count, name) for name, count in facts["tree"].items())]
    for kind in dict.fromkeys(row["kind"] for row in facts["labels"]):
        lines.append(f"  {kind}")
        for row in (row for row in facts["labels"] if row["kind"] == kind):
            images = counted(sum(row["images"].values()), "image")
            lines.append(f"    {row['label']:<26} {counted(row['landmarks'], 'landmark')}, {images}")
    lines += ["", "Licences of the images (labels: CC BY 4.0)"]
    lines += [f"  {name or 'not recorded':<50} {count:,}" for name, count in facts["licences"].items()]
    lines += ["", "A sample"]
    for row in facts["sample"]:
        way = " < ".join(filter(None, (row["name"], row["hierarchical_label"], row["natural_or_human_made"])))
        lines.append(f"  {row['id']}  {row['split']:<12} {way or 'no landmark'}")
    return "\n".join(lines)
