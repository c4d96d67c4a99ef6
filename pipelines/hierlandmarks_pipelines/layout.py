"""GLDv2's own folder layout, written: pictures into `SPLIT/images_000.tar`, checksums beside, and its CSVs."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa

from hierlandmarks.catalog import OWN, find_dataset
from hierlandmarks.images import index_tar
from hierlandmarks.tables import read_csv, write_csv, write_json, write_text

TAR = "images_000.tar"


def member_name(image_id: str) -> str:
    """Where a picture lies in its tar.

    >>> member_name("0123456789abcdef")
    '0/1/2/0123456789abcdef.jpg'
    """
    return f"{image_id[0]}/{image_id[1]}/{image_id[2]}/{image_id}.jpg"


def write_pictures(root: Path, split: str, pictures: Iterable[tuple[str, bytes]]) -> None:
    """Write pictures as `SPLIT/images_000.tar` with `md5sum/SPLIT/md5.images_000.txt`.

    Equal pictures in equal order give equal bytes: times, owners and modes are fixed.

    Args:
        root: the source folder.
        split: train, index or test.
        pictures: image id and JPEG bytes, each id once.
    """
    path = root / split / TAR
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for image_id, content in pictures:
            member = tarfile.TarInfo(member_name(image_id))
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    with open(path, "rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    write_text(root / "md5sum" / split / f"md5.{Path(TAR).stem}.txt", f"{digest}  {TAR}\n")


def write_rows(path: Path, columns: str, rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV of GLDv2's kind.

    Args:
        columns: names, separated by commas.
        rows: cells in that order.
    """
    names = columns.split(",")
    cells = list(zip(*rows, strict=True)) or [() for _ in names]
    write_csv(path, pa.table({name: pa.array(values, pa.string()) for name, values in zip(names, cells, strict=True)}))


def write_contents(root: Path, name: str) -> None:
    """Say in `dataset.json` what a finished folder holds, so that `hierlandmarks verify` expects that and not GLDv2.

    Args:
        root: the source folder.
        name: what to call it.
    """
    tables = [file for file in find_dataset("gldv2").metadata if (root / file.path).is_file()]
    tars = sorted(root.glob("*/images_*.tar"))
    splits = sorted({tar.parent.name for tar in tars})
    write_json(
        root / OWN,
        {
            "name": name,
            "rows": {
                file.path: read_csv(root / file.path, file.columns, may_be_empty=True).num_rows for file in tables
            },
            "tars": {split: sum(tar.parent.name == split for tar in tars) for split in splits},
            "pictures": {
                split: sum(index_tar(tar).num_rows for tar in tars if tar.parent.name == split) for split in splits
            },
        },
    )
