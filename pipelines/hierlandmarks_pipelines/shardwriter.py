"""Writing one shard of a release: metadata and, row group by row group, the pictures.

A piece of work of its own (`hierlandmarks.executors`): it writes its file whole or not at all, and again the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hierlandmarks.schema import RELEASE
from hierlandmarks.tables import PARQUET, ROW_GROUP, atomic_path, file_sha256

PICTURES_A_GROUP = 64  # a picture is read together with its row group: about 1 MB of thumbnails, 15 MB of photos
Read = Callable[[str, int | None, int | None], bytes]  # (file, offset, size), as images.TarImages.read


@dataclass(frozen=True)
class Order:
    """A shard to write.

    Attributes:
        path: of the file.
        rows: `schema.RELEASE` without `image`, sorted by id.
        read: gives a picture's bytes; None leaves the pictures out.
    """

    path: Path
    rows: pa.Table
    read: Read | None


@dataclass(frozen=True)
class Shard:
    """What was written: facts for the manifest, and the SHA-256 of every picture (null where there is none)."""

    facts: dict[str, Any]
    digests: pa.Array


def write_shard(order: Order) -> Shard:
    """Write rows as Parquet; equal rows give equal bytes. Holds one row group of pictures in memory at a time."""
    path, rows, read = order.path, order.rows, order.read
    digests: list[pa.Array] = [pa.array([], pa.binary())]
    plain = [name for name in RELEASE.schema.names if name not in ("id", "url", "title", "image")]
    with (
        atomic_path(path) as part,
        pq.ParquetWriter(
            part,
            RELEASE.schema,
            use_dictionary=plain,  # the others hardly repeat
            write_statistics=[name for name in RELEASE.schema.names if name != "image"],
            sorting_columns=[pq.SortingColumn(RELEASE.schema.names.index("id"))],
            **PARQUET,
        ) as writer,
    ):
        for group in _groups(rows, ROW_GROUP if read is None else PICTURES_A_GROUP):
            pictures = _pictures(group, read)
            digests.append(_digests(pictures))
            writer.write_table(group.append_column(RELEASE.schema.field("image"), pictures).cast(RELEASE.schema))
    facts = {"rows": rows.num_rows, "bytes": path.stat().st_size, "sha256": file_sha256(path)}
    return Shard(facts, pa.concat_arrays(digests))


def _groups(rows: pa.Table, size: int) -> Iterator[pa.Table]:
    for start in range(0, rows.num_rows, size):
        yield rows.slice(start, size)


def _pictures(rows: pa.Table, read: Read | None) -> pa.Array:
    if read is None:
        return pa.nulls(rows.num_rows, pa.binary())
    places = zip(*(rows[name].to_pylist() for name in ("file", "offset", "size")), strict=True)
    return pa.array([read(file, offset, size) for file, offset, size in places], pa.binary())


def _digests(pictures: pa.Array) -> pa.Array:
    if pictures.null_count == len(pictures):
        return pictures
    return pa.array([hashlib.sha256(picture.as_buffer()).digest() for picture in pictures], pa.binary())
