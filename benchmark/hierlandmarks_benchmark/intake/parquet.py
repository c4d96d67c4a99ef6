"""Parquet from strangers: its own account of itself is checked before anything is unpacked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hierlandmarks.errors import CorruptInputError
from hierlandmarks_benchmark.intake import limits

BATCH = 4096  # rows unpacked at a time


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file whose rows, values and unpacked size are within `limits`.

    Raises:
        CorruptInputError: it holds too much. Whatever pyarrow raises on damaged files passes: see `limits.guarded`.
    """
    limits.check_size(path)
    # metadata of bounded size: a footer cannot ask for more than it is long
    file = pq.ParquetFile(
        path, memory_map=False, thrift_string_size_limit=100_000, thrift_container_size_limit=100_000,
        page_checksum_verification=True,
        pre_buffer=False,
    )  # fmt: skip
    # Only what row groups say of themselves: what pyarrow has of single columns ends the process where it is damaged.
    sizes = [file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)]
    if file.metadata.num_rows > limits.MOST_ROWS:
        raise CorruptInputError(
            f"{path} has too many rows", got=f"{file.metadata.num_rows:,}", expected=f"at most {limits.MOST_ROWS:,}"
        )
    limits.check_unpacked(path, path.stat().st_size, sum(sizes))
    return file


def text_batches(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The columns, some thousand rows at a time."""
    yield from file.iter_batches(BATCH, columns=list(columns), use_threads=False)
