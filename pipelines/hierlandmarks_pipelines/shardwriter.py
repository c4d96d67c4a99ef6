"""Writing one shard of a release: metadata and, row group by row group, the pictures."""

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
class Shard:
    """What was written: facts for the manifest, and the SHA-256 of every picture (null where there is none)."""

    facts: dict[str, Any]
    digests: pa.Array


def write_shard(path: Path, rows: pa.Table, read: Read | None) -> Shard:
    """Write rows (schema.RELEASE without `image`, sorted by id) as Parquet; equal rows give equal bytes.

    Holds one row group of pictures in memory at a time.

    Args:
        read: gives a picture's bytes; None leaves the pictures out.
    """
    size = ROW_GROUP if read is None else PICTURES_A_GROUP
    digests: list[bytes | None] = []
    plain = [name for name in RELEASE.schema.names if name not in ("id", "url", "image")]
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
        for group in _groups(rows, size):
            pictures = _pictures(group, read)
            digests += [None if picture is None else hashlib.sha256(picture).digest() for picture in pictures]
            column = pa.array(pictures, pa.binary())
            writer.write_table(group.append_column(RELEASE.schema.field("image"), column).cast(RELEASE.schema))
    facts = {"rows": rows.num_rows, "bytes": path.stat().st_size, "sha256": file_sha256(path)}
    return Shard(facts, pa.array(digests, pa.binary()))


def _groups(rows: pa.Table, size: int) -> Iterator[pa.Table]:
    for start in range(0, rows.num_rows, size):
        yield rows.slice(start, size)


def _pictures(rows: pa.Table, read: Read | None) -> list[bytes | None]:
    if read is None:
        return [None] * rows.num_rows
    places = zip(*(rows[name].to_pylist() for name in ("file", "offset", "size")), strict=True)
    return [read(file, offset, size) for file, offset, size in places]
