"""Vectors by the block: arrays, memory maps, and npy, safetensors or parquet shards larger than memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.errors import CorruptInputError, MissingDataError, UsageError

Vectors = NDArray[np.float32]


class Source(Protocol):
    """N vectors of d numbers, read a slice of rows at a time."""

    shape: tuple[int, int]

    def read(self, start: int, stop: int) -> Vectors:
        """Rows `start` to `stop` as float32."""
        ...


class ArraySource:
    """An array or memory map of floating-point numbers; float32 rows are views, never copies."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        self.shape = (array.shape[0], array.shape[1])

    def read(self, start: int, stop: int) -> Vectors:
        """Rows `start` to `stop` as float32."""
        return np.asarray(self.array[start:stop], dtype=np.float32)


class SafetensorsSource:
    """One two-dimensional tensor of a safetensors file, read by slices: `embeddings`, or the file's only one."""

    def __init__(self, path: Path) -> None:
        from safetensors import safe_open

        self.path = path
        file: Any = safe_open(str(path), framework="numpy")
        names = [name for name in list(file.keys()) if len(file.get_slice(name).get_shape()) == 2]
        name = "embeddings" if "embeddings" in names else names[0] if len(names) == 1 else None
        if name is None:
            raise CorruptInputError(f"{path} has no tensor of vectors", got=names, expected="one named 'embeddings'")
        self._slice = file.get_slice(name)
        rows, width = self._slice.get_shape()
        self.shape = (rows, width)

    def read(self, start: int, stop: int) -> Vectors:
        """Rows `start` to `stop` as float32."""
        return np.asarray(self._slice[start:stop], dtype=np.float32)


class ParquetSource:
    """One column of equally long lists in a parquet file, read by row groups: `embedding`, or the file's only one."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(path, pre_buffer=False)
        self._reading = threading.Lock()  # a ParquetFile is not safe to read from two threads: they can wait for ever
        lists = [
            f.name for f in self._file.schema_arrow if pa.types.is_fixed_size_list(f.type) or pa.types.is_list(f.type)
        ]
        name = "embedding" if "embedding" in lists else lists[0] if len(lists) == 1 else None
        if name is None:
            raise CorruptInputError(f"{path} has no column of vectors", got=lists, expected="one named 'embedding'")
        self.path, self._column = path, name
        groups = [self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)]
        self._starts = np.concatenate(([0], np.cumsum(groups, dtype=np.int64)))
        self._cache: tuple[int, Vectors] | None = None
        width = self._group(0).shape[1] if groups and groups[0] else 0
        self.shape = (int(self._starts[-1]), width)

    def _group(self, index: int) -> Vectors:
        with self._reading:
            if self._cache is None or self._cache[0] != index:
                self._cache = (index, self._decode(index))
            return self._cache[1]

    def _decode(self, index: int) -> Vectors:
        column = self._file.read_row_group(index, columns=[self._column]).column(0).combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False)
        if column.null_count or flat.size % len(column):
            raise CorruptInputError(f"{self.path} row group {index} has vectors of different length")
        return np.asarray(flat, dtype=np.float32).reshape(len(column), -1)

    def read(self, start: int, stop: int) -> Vectors:
        """Rows `start` to `stop` as float32."""
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        last = int(np.searchsorted(self._starts, stop, side="left"))
        pieces = []
        for index in range(first, last):
            base = int(self._starts[index])
            pieces.append(self._group(index)[max(start - base, 0) : stop - base])
        return np.concatenate(pieces) if len(pieces) != 1 else pieces[0]


class Shards:
    """Several sources end to end."""

    def __init__(self, parts: Sequence[Source], names: Sequence[str]) -> None:
        for part, name in zip(parts, names, strict=True):
            if part.shape[1] != parts[0].shape[1]:
                raise CorruptInputError(
                    f"shard {name} has another width", got=part.shape[1], expected=parts[0].shape[1]
                )
        self._parts = parts
        self._starts = np.concatenate(([0], np.cumsum([part.shape[0] for part in parts], dtype=np.int64)))
        self.shape = (int(self._starts[-1]), parts[0].shape[1])

    def read(self, start: int, stop: int) -> Vectors:
        """Rows `start` to `stop` as float32."""
        pieces = [
            part.read(max(start - base, 0), min(stop - base, part.shape[0]))
            for part, base in zip(self._parts, self._starts.tolist(), strict=False)
            if base < stop and base + part.shape[0] > start
        ]
        return np.concatenate(pieces) if len(pieces) != 1 else pieces[0]


def open_vectors(vectors: Any, name: str) -> Source:
    """A source from an N × d array, a memory map, a file, a folder of shards (in order of name), or a list of files.

    Args:
        vectors: floating-point array; path of a .npy, .safetensors or .parquet file; folder or list of such.
        name: what to call it in messages.

    Raises:
        UsageError: no such kind of file, or an array that is not N × d numbers.
        MissingDataError: no such file, or an empty folder.
    """
    if isinstance(vectors, str | Path):
        path = Path(vectors)
        if not path.exists():
            raise MissingDataError(f"there is no {name} at {path}", do="check the path")
        paths = sorted(p for p in path.iterdir() if p.suffix in _READERS) if path.is_dir() else [path]
        return _open_shards(paths, name)
    if isinstance(vectors, list | tuple) and vectors and all(isinstance(v, str | Path) for v in vectors):
        return _open_shards([Path(v) for v in vectors], name)
    array = vectors if isinstance(vectors, np.ndarray) else np.asarray(vectors)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.floating):
        got = f"{array.dtype} of shape {array.shape}"
        raise UsageError(f"{name} is no array of vectors", got=got, expected="N × d floating-point numbers")
    return ArraySource(array)


def _open_npy(path: Path) -> Source:
    return ArraySource(np.load(path, mmap_mode="r"))


_READERS: dict[str, Callable[[Path], Source]] = {
    ".npy": _open_npy,
    ".safetensors": SafetensorsSource,
    ".parquet": ParquetSource,
}


def _open_shards(paths: Sequence[Path], name: str) -> Source:
    if not paths:
        raise MissingDataError(f"the folder of {name} holds no shard", expected=", ".join(_READERS))
    for path in paths:
        if path.suffix not in _READERS:
            raise UsageError(f"{name}: cannot read {path}", expected=f"one of {', '.join(_READERS)}")
        if not path.is_file():
            raise MissingDataError(f"there is no {name} at {path}", do="check the path")
    parts = [_READERS[path.suffix](path) for path in paths]
    return parts[0] if len(parts) == 1 else Shards(parts, [path.name for path in paths])
