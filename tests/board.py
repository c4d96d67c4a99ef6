"""A small release with drawn pictures and honest evaluations on it, for the tests of the leaderboard."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw

from hierlandmarks.metrics import evaluate_embeddings
from hierlandmarks.schema import RELEASE
from hierlandmarks.tables import content_hash, file_sha256, from_rows, write_json, write_parquet

LANDMARKS = [  # name, label, kind, colour
    ("Niagara Falls", "waterfall", "natural", (70, 130, 180)),
    ("Gullfoss", "waterfall", "natural", (90, 160, 150)),
    ("Mount Fuji", "mountain", "natural", (120, 120, 160)),
    ("Notre-Dame de Paris", "church", "human-made", (160, 140, 110)),
    ("Kölner Dom", "church", "human-made", (110, 100, 100)),
    ("قلعة حلب", "castle", "human-made", (190, 150, 90)),
]
SPLITS = {"index": 4, "query": 1}  # images a landmark
HASH = "content_hash"


def picture(landmark: int, number: int) -> bytes:
    """A drawn landmark: a colour of its own, a shape of its label, shifted from photo to photo."""
    _, label, _, colour = LANDMARKS[landmark]
    image = Image.new("RGB", (96, 72), (205 - 10 * number, 220, 235 - 8 * number))
    draw, x = ImageDraw.Draw(image), 34 + 7 * number
    draw.rectangle((0, 58, 96, 72), fill=(120, 140, 100))
    shape = {"waterfall": 4, "mountain": 3, "church": 5, "castle": 8}[label]
    draw.regular_polygon((x, 40, 24), shape, rotation=0, fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def release_rows(split: str) -> list[dict[str, Any]]:
    """The images of a split, as rows of `schema.RELEASE`."""
    labels, kinds = (sorted({landmark[i] for landmark in LANDMARKS}) for i in (1, 2))
    return [
        {
            "id": hashlib.sha256(f"{split}{landmark}{number}".encode()).hexdigest()[:16],
            "split": split,
            "space": "index",
            "landmark_id": str(landmark),
            "name": name,
            "category": f"https://commons.wikimedia.org/wiki/Category:{landmark}",
            **dict.fromkeys(("item", "type", "label_source", "file"), ""),
            "hierarchical_label": label,
            "natural_or_human_made": kind,
            "landmark": landmark,
            "label": labels.index(label),
            "kind": kinds.index(kind),
            "url": f"https://example.org/{landmark}-{number}.jpg",
            "author": "A. Painter",
            "license": "CC BY 4.0",
            "title": f"{name} {number}",
            "image": picture(landmark, number),
        }
        for landmark, (name, label, kind, _) in enumerate(LANDMARKS)
        for number in range(SPLITS[split])
    ]


def make_release(folder: Path, name: str = "tiny") -> Path:
    """Write a release with the splits `index` and `query`."""
    files, splits = {}, {}
    for split in SPLITS:
        table = from_rows(release_rows(split), RELEASE)
        file = f"data/{split}-00000-of-00001.parquet"
        write_parquet(folder / file, table)
        size = (folder / file).stat().st_size
        files[file] = {"rows": table.num_rows, "bytes": size, "sha256": file_sha256(folder / file)}
        splits[split] = {"files": [file], "rows": table.num_rows, HASH: content_hash(table)}
    whole = hashlib.sha256("".join(str(s[HASH]) for s in splits.values()).encode()).hexdigest()
    write_json(
        folder / "MANIFEST.json",
        {"format": 1, "name": name, "version": "1.0", "splits": splits, "files": files, HASH: whole},
    )
    return folder


def make_evaluation(folder: Path, release: Path, noise: float, **changes: Any) -> Path:
    """Evaluate embeddings that know the labels but for noise, and write the folder as `bench evaluate` does.

    Args:
        folder: of the evaluation; its name is the entry's.
        release: as `make_release` makes it.
        noise: 0 finds everything in order; 1 or more hardly anything.
        changes: values of `scores.json` by path with '.', such as `provenance.model.name`; '.' is written '__'.
    """
    query, index = (from_rows(release_rows(split), RELEASE) for split in ("query", "index"))
    rng = np.random.default_rng(7)
    embeddings, labels = zip(*(_embed(table, noise, rng) for table in (query, index)), strict=True)
    ids = query["id"].to_pylist(), index["id"].to_pylist()
    report = evaluate_embeddings(
        embeddings[0], labels[0], embeddings[1], labels[1], query_ids=ids[0], gallery_ids=ids[1], resamples=200
    )
    folder.mkdir(parents=True)
    report.per_query.to_parquet(folder / "per_query.parquet", index=False)
    write_json(folder / "examples.json", _examples(ids, embeddings, labels))
    scores: dict[str, Any] = {
        "entry": folder.name,
        "track": "tiny",
        "query_split": "query",
        "gallery_split": "index",
        "report": json.loads(report.to_json()),
        "provenance": {
            "dataset": {
                "name": "tiny",
                "version": "1.0",
                HASH: json.loads((release / "MANIFEST.json").read_text())[HASH],
            },
            "code_version": "0.1.0",
            "date": "2026-11-23",
            "model": {"name": "resnet18", "trained_on": "tiny (train)", "loss": "SupHAP", "recipe": {"lr": 1e-3}},
            "settings": {"relevance": "proportional"},
            "hardware": {"cores": 2},
        },
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        target = scores
        for parent in parents:
            target = target[parent]
        target[last] = value
    write_json(folder / "scores.json", scores)
    return folder


def _embed(table: pa.Table, noise: float, rng: np.random.Generator) -> tuple[Any, Any]:
    labels = np.stack([table[name].to_numpy() for name in ("landmark", "label", "kind")], axis=1)
    clean = np.concatenate([np.eye(8)[column] for column in labels.T], axis=1)
    noisy = clean + noise * rng.standard_normal(clean.shape)
    return (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32), labels


def _examples(ids: Any, embeddings: Any, labels: Any) -> list[dict[str, Any]]:
    examples = []
    for q in range(3):
        best = np.argsort(-(embeddings[1] @ embeddings[0][q]), kind="stable")[:8]
        levels = [int(np.cumprod((labels[0][q] == labels[1][i])[::-1]).sum()) for i in best]
        results = [{"id": ids[1][i], "level": level} for i, level in zip(best, levels, strict=True)]
        examples.append({"query": ids[0][q], "results": results})
    return examples
