"""Tables part by part, for those never in memory as a whole: the same rows, files and complaints as `tables` has."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hierlandmarks import csvchecks
from hierlandmarks.errors import TableError
from hierlandmarks.schema import Table
from hierlandmarks.tables import PARQUET, ROW_GROUP, atomic_path, block_hash, conform, join_hashes, write_facts

Add = Callable[[pa.Table], None]
READ_ROWS = 5_000  # of a CSV at a time


def read_csv_in_parts(
    path: str | os.PathLike[str], columns: Sequence[str], *, filled: Sequence[str] = ()
) -> Iterator[pa.Table]:
    """The columns of a CSV as `tables.read_csv` reads them, some thousand rows at a time.

    Args:
        columns: must be there.
        filled: columns in which an empty cell is refused. Whether one is repeated is for the caller to see.

    Yields:
        Tables with those columns, and `row`, the number of each row in the file (the header is row 1).

    Raises:
        MissingDataError, TableError: as `tables.read_csv`, when the part at fault is reached.
    """
    path = Path(path)
    csvchecks.check_file(path, columns)
    header = csvchecks.header(path)
    csvchecks.check_header(path, header, columns)
    places = [header.index(name) for name in columns]
    rest, row = csvchecks.rows(path, header), 2
    while cells := list(islice(rest, READ_ROWS)):
        own = {name: pa.array([line[place] for line in cells]) for name, place in zip(columns, places, strict=True)}
        part = pa.table({**own, "row": pa.array(range(row, row + len(cells)))})
        csvchecks.check_filled(part, filled, path, first_row=row)
        yield part
        row += len(cells)
    if row == 2:
        raise csvchecks.no_rows(path)


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
        """Write a block; column by column, so that only one of them is there twice."""
        whole = pa.concat_tables(self._waiting)
        rest = whole.slice(ROW_GROUP)
        self._waiting = [rest.combine_chunks()] if rest.num_rows else []
        columns = dict(zip(whole.column_names, whole.columns, strict=True))
        del whole, rest
        ready = {name: columns.pop(name).slice(0, ROW_GROUP).combine_chunks() for name in tuple(columns)}
        block = pa.table(ready, schema=self._spec.schema)
        self.hashes.append(block_hash(block))
        self._writer.write_table(block, row_group_size=ROW_GROUP)
