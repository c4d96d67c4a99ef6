"""A small release to train on: every landmark is a colour of its own on a field that its label decides."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from hierlandmarks.hierarchy import Hierarchy
from hierlandmarks.images import index_tar
from hierlandmarks.schema import NODES, RELEASE
from hierlandmarks.tables import from_rows
from hierlandmarks_pipelines.export import Export, write_release

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
    """Write a release under `folder`.

    Args:
        folder: parent of `release` and of the tars it is made from.
        splits: split -> landmarks (numbers up to 15) and images of each.
        spoilt: pictures of the first split whose bytes are no picture.
        usage: parts of the official ground truth that queries take in turn.
    """
    rng = np.random.default_rng(0)
    tables = {}
    for split, (landmarks, each) in splits.items():
        rows = [_row(split, landmark, number) for landmark in landmarks for number in range(each)]
        for number, row in enumerate(rows if split == "query" else ()):
            row["usage"] = usage[number % len(usage)]
        tar = folder / "source" / split / "images_000.tar"
        tar.parent.mkdir(parents=True)
        with tarfile.open(tar, "w:") as stream:
            for row in rows:
                buffer = io.BytesIO()
                picture(row["landmark"], rng).save(buffer, "PNG")
                content, spoilt = (b"no picture", spoilt - 1) if spoilt > 0 else (buffer.getvalue(), 0)
                member = tarfile.TarInfo("/".join([*row["id"][:3], f"{row['id']}.jpg"]))
                member.size = len(content)
                stream.addfile(member, io.BytesIO(content))
        places = {place["id"]: place for place in index_tar(tar).to_pylist()}
        tables[split] = from_rows([row | places[row["id"]] for row in rows], RELEASE)
    out = folder / "release"
    out.mkdir()
    write_release(
        out,
        {split: table.drop_columns(["image"]) for split, table in tables.items()},
        Hierarchy.from_table(_nodes()),
        Export(name="coloured"),
        left_out={},
        source=folder / "source",
    )
    return out


def _row(split: str, landmark: int, number: int) -> dict[str, object]:
    label = landmark % len(LABELS)
    row: dict[str, object] = dict.fromkeys((f.name for f in RELEASE.schema if f.type == pa.string()), "")
    return row | {
        "id": hashlib.sha256(f"{split} {landmark} {number}".encode()).hexdigest()[:16],
        "split": split,
        "space": "train" if split in ("train", "validation") else "index",
        "landmark_id": str(landmark),
        "name": f"landmark {landmark}",
        "hierarchical_label": LABELS[label],
        "natural_or_human_made": "human-made" if label < 2 else "natural",
        "landmark": landmark,
        "label": label,
        "kind": label // 2,
        "file": f"{split}/images_000.tar",
    }


def _nodes() -> pa.Table:
    rows: list[dict[str, object]] = [{"node_id": "root", "parent_id": "", "level": "root", "name": "root", "code": 0}]
    for code, kind in enumerate(("human-made", "natural")):
        rows.append({"node_id": kind, "parent_id": "root", "level": "kind", "name": kind, "code": code})
    for code, label in enumerate(LABELS):
        kind = "human-made" if code < 2 else "natural"
        rows.append({"node_id": f"hl:{label}", "parent_id": kind, "level": "label", "name": label, "code": code})
    for code in range(PER_LABEL * len(LABELS)):
        parent = f"hl:{LABELS[code % len(LABELS)]}"
        row = {"node_id": f"commons:{code:02d}", "parent_id": parent, "level": "landmark", "name": f"landmark {code}"}
        rows.append(row | {"code": code})
    return from_rows(rows, NODES)
