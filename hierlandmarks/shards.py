"""Reading the Parquet shards of a release: columns of all rows at once, pictures one at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from hierlandmarks.conditions import Condition, holds
from hierlandmarks.errors import CorruptInputError
from hierlandmarks.schema import RELEASE

T = TypeVar("T")
PLACE = ("id", "split", "file", "offset", "size")
KEPT_GROUPS = 16  # row groups of pictures kept in memory: about 200 MB of GLDv2's photos, 10 MB of thumbnails


class Shards:
    """The rows of several shards, numbered one after the other.

    Safe between threads and across fork: every read opens its file anew. What is read is checked page by page.

    Args:
        shards: path and number of rows of each.
        pictures: whether the shards carry the pictures.
    """

    folder = None  # that `file` is relative to: a release does not know

    def __init__(self, shards: Sequence[tuple[Path, int]], *, pictures: bool = True) -> None:
        self.pictures = pictures
        self._paths = [path for path, _ in shards]
        self._starts = np.cumsum([0, *(rows for _, rows in shards)])
        self._group_starts: dict[Path, npt.NDArray[np.int64]] = {}
        self._kept: OrderedDict[tuple[Path, int], pa.ChunkedArray] = OrderedDict()
        self._lock = threading.Lock()

    def table(self, columns: Sequence[str]) -> pa.Table:
        """The named columns of all rows.

        Raises:
            CorruptInputError: a shard cannot be read, or a page of it was changed.
        """
        schema = pa.schema([RELEASE.schema.field(name) for name in columns])
        files = {path: _readable(path, _fragment) for path in self._paths}
        return pa.table([_read_column(files, field) for field in schema], schema=schema)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getstate__(self) -> dict[str, Any]:
        return {"shards": [*zip(self._paths, np.diff(self._starts), strict=True)], "pictures": self.pictures}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Shards.__init__(self, **state)

    def places(self) -> pa.Table:
        """Where each row's picture lies outside the shards: id, split, file, offset, size."""
        return self.table(PLACE)

    def batches(
        self, columns: Sequence[str], part: int = 0, parts: int = 1, wanted: Sequence[Condition] = ()
    ) -> Iterator[pa.RecordBatch]:
        """The rows, one row group in memory at a time.

        Args:
            part: from 0; which of `parts` shares of the row groups to read.
            wanted: give only the rows for which these hold; of row groups without any, nothing else is read.

        Raises:
            CorruptInputError: a shard cannot be read, or a page of it was changed.
        """
        number = 0
        for path in self._paths:
            for group in range(len(self._starts_of_groups(path)) - 1):
                if number % parts == part:
                    read = partial(_read_group, group=group, columns=list(columns), wanted=wanted)
                    yield from (batch for batch in _readable(path, read).to_batches() if batch.num_rows)
                number += 1

    def picture(self, row: int) -> bytes | None:
        """The bytes of one row's picture, None where the release does not carry it.

        Reads the whole row group the picture lies in and keeps the last few, so pictures near each other are cheap.

        Raises:
            CorruptInputError: the shard cannot be read, or a page of it was changed.
        """
        if not self.pictures:
            return None
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        path, within = self._paths[number], row - int(self._starts[number])
        starts = self._starts_of_groups(path)
        group = int(np.searchsorted(starts, within, side="right")) - 1
        content: bytes | None = self._group(path, group)[within - int(starts[group])].as_py()
        return content

    def _starts_of_groups(self, path: Path) -> npt.NDArray[np.int64]:
        if path not in self._group_starts:
            footer = _readable(path, pq.read_metadata)
            rows = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
            self._group_starts[path] = np.cumsum([0, *rows])
        return self._group_starts[path]

    def _group(self, path: Path, group: int) -> pa.ChunkedArray:
        with self._lock:
            if (path, group) in self._kept:
                self._kept.move_to_end((path, group))
                return self._kept[path, group]
        pictures = _readable(path, partial(_read_pictures, group=group))
        with self._lock:
            self._kept[path, group] = pictures
            while len(self._kept) > KEPT_GROUPS:
                self._kept.popitem(last=False)
        return pictures


# Pages carry a CRC-32, so a flipped bit is found wherever it is read, not only by `verify`.
_FORMAT = pads.ParquetFileFormat(
    default_fragment_scan_options=pads.ParquetFragmentScanOptions(page_checksum_verification=True, pre_buffer=False)
)


def _fragment(path: Path) -> pads.ParquetFileFragment:
    return _FORMAT.make_fragment(str(path), filesystem=LocalFileSystem())


def _read_column(files: Mapping[Path, pads.ParquetFileFragment], field: pa.Field) -> pa.ChunkedArray:
    """A column of all files, by itself and from the system's allocator.

    Arrow's own allocator keeps a third more than the columns need, and what several columns were decoded in lies
    between them, where it cannot be given back. Read so, GLDv2's columns take 1.2 times their size instead of 1.9.
    """
    chunks = []
    for path, file in files.items():
        chunks += _readable(path, partial(_chunks, file=file, field=field))
    pa.system_memory_pool().release_unused()
    return pa.chunked_array(chunks, field.type)


def _chunks(_path: Path, file: pads.ParquetFileFragment, field: pa.Field) -> list[pa.Array]:
    table = file.to_table(columns=[field.name], use_threads=False, memory_pool=pa.system_memory_pool())
    return list(table[field.name].cast(field.type).chunks)


def _read_group(path: Path, group: int, columns: list[str], wanted: Sequence[Condition] = ()) -> pa.Table:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        if not wanted:
            return file.read_row_group(group, columns=columns).select(columns)
        keep = holds(file.read_row_group(group, columns=[one.column for one in wanted]), wanted)
        if not pc.any(keep).as_py():
            return RELEASE.schema.empty_table().select(columns)
        return file.read_row_group(group, columns=columns).select(columns).filter(keep)


def _read_pictures(path: Path, group: int) -> pa.ChunkedArray:
    return _read_group(path, group, ["image"])["image"]


def _readable(path: Path, read: Callable[[Path], T]) -> T:
    try:
        return read(path)
    except (pa.ArrowException, OSError) as error:
        raise CorruptInputError(f"{path} cannot be read", got=str(error).splitlines()[0]) from error
