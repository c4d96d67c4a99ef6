"""A small release to train on: every landmark is a colour of its own on a field that its label decides."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from hierlandmarks.images import index_tar
from hierlandmarks.schema import ASSIGNMENTS, CATEGORIES, IMAGES, LEAVES, NODES, TYPES, Table
from hierlandmarks.tables import empty, from_rows
from hierlandmarks_pipelines.export import STAGE

LABELS = ("church", "bridge", "lake", "hill")  # the last two are natural
PER_LABEL = 4  # landmarks of a label
SIDE = 24


def picture(landmark: int, rng: np.random.Generator) -> Image.Image:
    """A square of the landmark's colour somewhere on stripes whose direction and width are the label's."""
    label = landmark % len(LABELS)
    ramp = np.indices((SIDE, SIDE))[label % 2] // (1 + label)
    pixels = np.repeat((60 + 60 * (ramp % 2))[:, :, None], 3, axis=2)
    top, left = rng.integers(0, SIDE // 2, 2)
    colour = np.random.default_rng(landmark).integers(0, 256, 3)
    pixels[top : top + SIDE // 2, left : left + SIDE // 2] = colour
    return Image.fromarray((pixels + rng.integers(-20, 20, pixels.shape)).clip(0, 255).astype(np.uint8))


def release(
    folder: Path, splits: dict[str, tuple[range, int]], spoilt: int = 0, usage: tuple[str, ...] = ("",)
) -> Path:
    """Export a release under `folder`.

    Args:
        folder: parent of `release` and of the tars it is made from.
        splits: split -> landmarks (numbers up to 15) and images of each.
        spoilt: pictures of the first split whose bytes are no picture.
        usage: parts of the official ground truth that queries take in turn.
    """
    rng = np.random.default_rng(0)
    images = []
    for split, (landmarks, each) in splits.items():
        rows = [_image(split, landmark, number) for landmark in landmarks for number in range(each)]
        contents = {row["id"]: _bytes(picture(int(row["landmark_id"]), rng)) for row in rows}
        for row in rows[: 0 if images else spoilt]:
            contents[row["id"]] = b"no picture"
        places = _tar(folder / "source" / split / "images_000.tar", contents)
        parts = usage if split == "query" else ("",)
        images += [row | places[row["id"]] | {"usage": parts[i % len(parts)]} for i, row in enumerate(rows)]
    out = folder / "release"
    out.mkdir()
    landmarks = [_landmark(space, number) for space in ("train", "index") for number in range(PER_LABEL * len(LABELS))]
    tables = {"categories": CATEGORIES, "assignments": ASSIGNMENTS, "leaves": LEAVES}
    inputs = {name: _filled(landmarks, table) for name, table in tables.items()}
    inputs |= {"images": _filled(images, IMAGES), "types": empty(TYPES), "nodes": _filled(_nodes(), NODES)}
    STAGE.run(STAGE.params(name="coloured"), inputs | {"source": folder / "source"}, {"release": out})
    return out


def _filled(rows: list[dict[str, Any]], table: Table) -> pa.Table:
    blank = {field.name: "" for field in table.schema if field.type == pa.string()}
    return from_rows([{**blank, "confidence": 1.0, **row} for row in rows], table)


def _bytes(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _tar(path: Path, contents: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:") as stream:
        for image_id, content in contents.items():
            member = tarfile.TarInfo("/".join([*image_id[:3], f"{image_id}.jpg"]))
            member.size = len(content)
            stream.addfile(member, io.BytesIO(content))
    return {place["id"]: place for place in index_tar(path).to_pylist()}


def _image(split: str, landmark: int, number: int) -> dict[str, Any]:
    return {
        "id": hashlib.sha256(f"{split} {landmark} {number}".encode()).hexdigest()[:16],
        "split": split,
        "space": "train" if split in ("train", "validation") else "index",
        "landmark_id": str(landmark),
        "file": f"{split}/images_000.tar",
    }


def _landmark(space: str, number: int) -> dict[str, Any]:
    label = LABELS[number % len(LABELS)]
    return {
        "space": space,
        "landmark_id": str(number),
        "name": f"landmark {number}",
        "label_id": f"hl:{label}",
        "label": label,
        "natural_or_human_made": _kind(label),
        "node_id": f"commons:{number:02d}",
    }


def _kind(label: str) -> str:
    return "human-made" if label in LABELS[:2] else "natural"


def _nodes() -> list[dict[str, Any]]:
    rows = [("root", "", "root", 0), ("human-made", "root", "kind", 0), ("natural", "root", "kind", 1)]
    rows += [(f"hl:{label}", _kind(label), "label", code) for code, label in enumerate(LABELS)]
    leaves = range(PER_LABEL * len(LABELS))
    rows += [(f"commons:{code:02d}", f"hl:{LABELS[code % len(LABELS)]}", "landmark", code) for code in leaves]
    names = ("node_id", "parent_id", "level", "code")
    return [dict(zip(names, row, strict=True)) | {"name": row[0].partition(":")[2] or row[0]} for row in rows]
