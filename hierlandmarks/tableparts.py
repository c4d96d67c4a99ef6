"""Writing a table part by part, for one that is never in memory as a whole: the same file as `tables` writes."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hierlandmarks.errors import TableError
from hierlandmarks.schema import Table
from hierlandmarks.tables import PARQUET, ROW_GROUP, atomic_path, block_hash, conform, join_hashes, write_facts

Add = Callable[[pa.Table], None]


@contextlib.contextmanager
def table_in_parts(path: str | os.PathLike[str], spec: Table, made_by: Mapping[str, Any]) -> Iterator[Add]:
    """A function that adds rows to a stage's table, which is put in place with its facts when the block ends well.

    Holds at most ROW_GROUP rows beside the part that is added.

    Raises:
        TableError: by that function: a part does not fit the schema, or its keys do not come after those before.
    """
    path = Path(path)
    with atomic_path(path) as part, pq.ParquetWriter(part, spec.schema, **PARQUET) as writer:
        blocks = _Blocks(spec, writer)
        yield blocks.add
        blocks.flush()
    write_facts(path, spec, blocks.rows, join_hashes(blocks.hashes), made_by)


@contextlib.contextmanager
def csv_in_parts(path: str | os.PathLike[str], columns: Sequence[str]) -> Iterator[Add]:
    """A function that adds rows to a CSV as `tables.write_csv` writes it, put in place when the block ends well."""
    with atomic_path(path) as part, open(part, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)

        def add(table: pa.Table) -> None:
            writer.writerows(zip(*(table[name].to_pylist() for name in columns), strict=True))

        yield add


class _Blocks:
    """Rows on their way to a file, cut into blocks of ROW_GROUP rows."""

    def __init__(self, spec: Table, writer: pq.ParquetWriter) -> None:
        self._spec, self._writer = spec, writer
        self._waiting: list[pa.Table] = []
        self._last: tuple[Any, ...] = ()
        self.rows = 0
        self.hashes: list[bytes] = []

    def add(self, part: pa.Table) -> None:
        part = conform(part, self._spec, self._spec.name)
        if not part.num_rows:
            return
        first, last = (tuple(part[name][row].as_py() for name in self._spec.key) for row in (0, part.num_rows - 1))
        if self._last and first <= self._last:
            raise TableError(
                f"{self._spec.name} row {self.rows + 1}: its key does not come after the one before",
                got=first,
                expected=f"above {self._last}",
            )
        self._last = last
        self.rows += part.num_rows
        self._waiting.append(part)
        while sum(table.num_rows for table in self._waiting) >= ROW_GROUP:
            self._put()

    def flush(self) -> None:
        if self._waiting:
            self._put()

    def _put(self) -> None:
        whole = pa.concat_tables(self._waiting)
        block = whole.slice(0, ROW_GROUP).combine_chunks()
        self.hashes.append(block_hash(block))
        self._writer.write_table(block, row_group_size=ROW_GROUP)
        rest = whole.slice(ROW_GROUP)
        self._waiting = [rest] if rest.num_rows else []
