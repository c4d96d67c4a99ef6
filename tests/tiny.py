"""A tiny world as the tables that meet at the export: three labels, seven landmarks, drawn pictures in tars.

Train 0 and index 5 are the same place; train 3 and 4 are one category under two ids; train 6 has no label; index 9 is
a distractor's landmark without a label, and one index image has no landmark at all.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from hierlandmarks.images import index_tar
from hierlandmarks.schema import ASSIGNMENTS, CATEGORIES, IMAGES, LEAVES, NODES, TYPES
from hierlandmarks.tables import from_rows

LABELS = {"hl:bridge": ("bridge", "human-made"), "hl:church": ("church", "human-made"), "hl:lake": ("lake", "natural")}
#             space    id   name               label        leaf
LANDMARKS = [
    ("train", "0", "Golden Gate", "hl:bridge", "commons:Golden Gate"),
    ("train", "1", "Tower Bridge", "hl:bridge", "commons:Tower Bridge"),
    ("train", "2", "Lake | Bled", "hl:lake", "commons:Lake Bled"),
    ("train", "3", "Ulm Minster", "hl:church", "commons:Ulm Minster"),
    ("train", "4", "Ulm Minster", "hl:church", "commons:Ulm Minster"),
    ("train", "5", "Old Church", "hl:church", "commons:Old Church"),
    ("train", "6", "Nowhere", "", ""),
    ("train", "7", "Loch Ness", "hl:lake", "commons:Loch Ness"),
    ("index", "0", "Loch Ness", "hl:lake", "commons:Loch Ness"),
    ("index", "5", "Golden Gate", "hl:bridge", "commons:Golden Gate"),
    ("index", "9", "Somewhere", "", ""),
]
SPLITS = {"train": "train", "train_clean": "train", "index": "index", "query": "index"}


def nodes() -> pa.Table:
    rows = [{"node_id": "root", "parent_id": "", "level": "root", "name": "root", "code": 0}]
    for code, kind in enumerate(("human-made", "natural")):
        rows.append({"node_id": kind, "parent_id": "root", "level": "kind", "name": kind, "code": code})
    for code, (label_id, (label, kind)) in enumerate(LABELS.items()):
        rows.append({"node_id": label_id, "parent_id": kind, "level": "label", "name": label, "code": code})
    places = {leaf: (name, label) for _, _, name, label, leaf in LANDMARKS if leaf}
    for code, leaf in enumerate(sorted(places)):
        name, label = places[leaf]
        rows.append({"node_id": leaf, "parent_id": label, "level": "landmark", "name": name, "code": code})
    return from_rows(rows, NODES)


def tables() -> dict[str, pa.Table]:
    """categories, types, assignments, nodes, leaves."""
    keys = [{"space": space, "landmark_id": number} for space, number, *_ in LANDMARKS]
    about = [
        {
            **key,
            "category": f"http://commons.wikimedia.org/wiki/Category:{name.replace(' ', '_')}",
            "name": name,
            "type_id": label and f"Q-{label}",
            "type": label and f"a {LABELS[label][0]}",
            "label_id": label,
            "label": LABELS[label][0] if label else "",
            "natural_or_human_made": LABELS[label][1] if label else "",
            "confidence": 1.0 if label else 0.0,
            "source": "decision" if label else "none",
            "runner_up": "",
            "reason": "",
            "rank": "normal",
            "ended": False,
            "item": f"Q{number}" if label else "",
            "title": name,
            "route": "",
            "node_id": leaf,
        }
        for key, (_, number, name, label, leaf) in zip(keys, LANDMARKS, strict=True)
    ]
    placed = [row for row in about if row["node_id"]]
    return {
        "categories": from_rows(about, CATEGORIES),
        "types": from_rows(placed, TYPES),
        "assignments": from_rows(about, ASSIGNMENTS),
        "nodes": nodes(),
        "leaves": from_rows(placed, LEAVES),
    }


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 12), (number * 37 % 256, number * 91 % 256, 90)).save(buffer, "JPEG")
    return buffer.getvalue()


def source(folder: Path, each: int = 3) -> pa.Table:
    """Write tars of drawn pictures under `folder`, `each` for every landmark; give the table of images."""
    rows: list[dict[str, Any]] = []
    for split, space in SPLITS.items():
        if split == "train_clean":
            continue
        own = [number for s, number, *_ in LANDMARKS if s == space] + [""] * (split == "index")
        for landmark_id in own:
            for _ in range(each if split != "query" else 1):
                rows.append({"id": f"{len(rows) * 0x9E3779B97F4A7C15 % 2**64:016x}", "split": split, "space": space})
                rows[-1] |= {"usage": ("Public", "Private")[len(rows) % 2] if split == "query" else ""}
                rows[-1] |= {"landmark_id": landmark_id, "url": "http://x/y", "author": "A", "title": "T"}
                rows[-1] |= {"license": "CC0" if space == "index" else "https://creativecommons.org/licenses/by/4.0/"}
                rows[-1] |= {"file": f"{'test' if split == 'query' else split}/images_000.tar"}
    for file in sorted({row["file"] for row in rows}):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(folder / file, "w:") as tar:
            for number, row in enumerate(rows):
                if row["file"] == file:
                    content = picture(number)
                    member = tarfile.TarInfo("/".join([*row["id"][:3], f"{row['id']}.jpg"]))
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        places = {place["id"]: place for place in index_tar(folder / file).to_pylist()}
        for row in rows:
            row |= places.get(row["id"], {}) if row["file"] == file else {}
    clean = [{**row, "split": "train_clean"} for row in rows if row["split"] == "train" and row["landmark_id"] != "1"]
    return from_rows([*rows, *clean], IMAGES)


def release(folder: Path, **params: Any) -> Path:
    """Export the tiny world: tars to folder/source, release to folder/release."""
    from hierlandmarks_pipelines.export import STAGE, Export

    inputs = {**tables(), "images": source(folder / "source"), "source": folder / "source"}
    (folder / "release").mkdir()
    STAGE.run(Export(**{"name": "tiny", "rows_per_shard": 8, **params}), inputs, {"release": folder / "release"})
    return folder / "release"
