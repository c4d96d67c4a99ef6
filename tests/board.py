"""A small release with drawn pictures and honest evaluations on it, for the tests of the leaderboard."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from PIL import Image, ImageDraw

from hierlandmarks.metrics import evaluate_embeddings
from hierlandmarks.schema import RELEASE
from hierlandmarks.tables import content_hash, file_sha256, from_rows, read_json, write_json, write_parquet
from hierlandmarks_benchmark.entries.rankings import write_rankings
from hierlandmarks_benchmark.submit import submit

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
HOSTILE = (
    "\"'><script>hacked=1</script><img src=x onerror=hacked=1> \u202egnp.exe\u2066 | "
    "[a](javascript:hacked=1) `b` {{ 7*7 }}"
)


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
            "usage": ("Public", "Private")[landmark % 2] if split == "query" else "",
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


def make_evaluation(folder: Path, release: Path, noise: float) -> Path:
    """Evaluate embeddings that know the labels but for noise, and write the folder as `bench evaluate` does.

    Args:
        folder: of the evaluation; its name is the entry's.
        release: as `make_release` makes it.
        noise: 0 finds everything in order; 1 or more hardly anything.
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
    best = np.argsort(-(embeddings[0] @ embeddings[1].T), axis=1, kind="stable")
    write_rankings(folder / "rankings.parquet", ids[0], pa.array([[ids[1][i] for i in row] for row in best]))
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
    write_json(folder / "scores.json", scores)
    return folder


def edit_meta(entry: Path, edit: Callable[[Any], None]) -> None:
    """Change the `meta.yaml` of an entry."""
    content = yaml.safe_load((entry / "meta.yaml").read_text())
    edit(content)
    (entry / "meta.yaml").write_text(yaml.safe_dump(content, allow_unicode=True))


def edit_file(entry: Path, name: str, edit: Callable[[Any], None]) -> None:
    """Change a JSON file of an entry and its hash with it."""
    content = read_json(entry / name)
    edit(content)
    write_json(entry / name, content)
    edit_meta(entry, lambda meta: meta["files"].update({name: file_sha256(entry / name)}))


def make_hostile(release: Path, home: Path) -> Path:
    """One entry whose every free field is an attack."""
    evaluation = make_evaluation(home / "evaluation" / "hostile", release, 0.3)
    content = read_json(evaluation / "scores.json")
    content["track"] = HOSTILE
    content["provenance"] |= {
        "model": {"name": HOSTILE, "trained_on": HOSTILE, "loss": HOSTILE, "recipe": {HOSTILE: HOSTILE}},
        "code_version": HOSTILE,
        "date": HOSTILE,
        "settings": {"</pre>": HOSTILE},
        "hardware": {"x": ["\ud800", HOSTILE]},
    }
    (evaluation / "scores.json").write_text(json.dumps(content))  # escapes the lone surrogate
    entry = submit(evaluation, release, home / "submissions")

    def attack(examples: Any) -> None:
        for example in examples:
            for picture in (example["query"], *(result["picture"] for result in example["results"])):
                picture.update(dict.fromkeys(("name", "label", "kind", "author", "license", "title"), HOSTILE))
                picture["url"] = "javascript:hacked=1"

    edit_file(entry, "examples.json", attack)
    return entry.parent


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
