"""The append-only archive of raw API answers: what was asked, when, and every byte of meaning that came back.

An archive is a folder of files `responses-00000.jsonl.zst`, one JSON document a line::

    {"request": {"api": "commons", "params": {...}}, "status": 200, "time": "2026-01-31T12:00:00Z", "body": {...}}

`zstdcat` reads them. Every line is a zstd frame of its own behind a skippable frame (RFC 8878, section 3.1.2) that
holds the line's length, checksum and key, so opening an archive reads only these small headers, an answer is found by
one seek, and a writer killed in the middle of a line loses that line and nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from hierlandmarks.errors import ChecksumError, CorruptInputError, UsageError

PATTERN = "responses-*.jsonl.zst"
SHARD_BYTES = 256 * 2**20
_SKIPPABLE = 0x184D2A5E  # one of the sixteen magic numbers zstd reserves for frames that readers pass over
_HEADER = struct.Struct("<IIIII32s")  # magic, bytes that follow, frame bytes, line bytes, crc32 of the frame, key
_LEVEL = 9


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one line lies: which file, where its frame starts, and what its header says of it."""

    shard: int
    offset: int
    frame: int
    line: int
    crc: int


def request_key(api: str, params: Mapping[str, str]) -> bytes:
    """What identifies a request: the API's name (not its address, so mirrors share an archive) and its parameters.

    >>> request_key("commons", {"a": "1", "b": "2"}) == request_key("commons", {"b": "2", "a": "1"})
    True
    """
    canonical = json.dumps([api, sorted(params.items())], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).digest()


class Archive:
    """Answers by request, in a folder that only ever grows.

    Args:
        folder: where the files lie; made when writing.
        write: append to it; one process at a time. Without, the folder is only read, and a last line that was
            torn by a kill is passed over. With, it is cut off.
        shard_bytes: a new file is begun when the current one is longer.

    Raises:
        UsageError: another process is writing to the folder.
        CorruptInputError: a file is damaged anywhere but at the end of the last.
    """

    def __init__(self, folder: str | os.PathLike[str], *, write: bool = False, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder = Path(folder)
        self._write = write
        self._shard_bytes = shard_bytes
        self._codec = pa.Codec("zstd", compression_level=_LEVEL)
        self._places: dict[bytes, _Place] = {}
        self._shards: list[int] = []  # open file descriptors
        self._end = 0
        self._lock = -1
        try:
            if write:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._lock = _lock(self.folder)
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        paths = sorted(self.folder.glob(PATTERN))
        for number, path in enumerate(paths):
            descriptor = os.open(path, os.O_RDWR if self._write else os.O_RDONLY)
            self._shards.append(descriptor)
            last = number == len(paths) - 1
            self._end = end = self._scan(descriptor, number, path, last)
            if last and self._write and end < os.fstat(descriptor).st_size:
                os.ftruncate(descriptor, end)

    def _scan(self, descriptor: int, shard: int, path: Path, last: bool) -> int:
        """Read the headers of one file and return where its whole lines end."""
        size = os.fstat(descriptor).st_size
        end = 0
        for key, place in _headers(descriptor, shard, path, size, last):
            if last and place.offset + place.frame == size and not _intact(descriptor, place):
                break  # the last line has its length but not its bytes: power was lost while it was written
            self._places[key] = place
            end = place.offset + place.frame
        if end < size and not last:
            raise CorruptInputError(
                f"{path} breaks off after byte {end} though a later file follows it",
                do="restore the file, or mine into a new folder",
            )
        return end

    def __len__(self) -> int:
        return len(self._places)

    def get(self, api: str, params: Mapping[str, str]) -> Any | None:
        """The archived body of the answer to a request, or None.

        Raises:
            ChecksumError: the line's bytes are not those that were written.
        """
        place = self._places.get(request_key(api, params))
        return None if place is None else self._read(place)["body"]

    def __iter__(self) -> Iterator[Any]:
        """Every line as it was written, oldest first."""
        return (self._read(place) for place in self._places.values())

    def _read(self, place: _Place) -> Any:
        frame = os.pread(self._shards[place.shard], place.frame, place.offset)
        if zlib.crc32(frame) != place.crc:
            raise ChecksumError(
                f"{self.folder}, responses file {place.shard}: the line at byte {place.offset} is damaged",
                do="restore the file, or mine into a new folder",
            )
        return json.loads(self._codec.decompress(frame, place.line, asbytes=True))

    def append(self, api: str, params: Mapping[str, str], body: Any, time: str) -> None:
        """Add an answer; on disk when this returns.

        Args:
            time: when the answer came, in UTC (ISO 8601).
        """
        assert self._write, "an archive opened for reading is not written to"
        record = {
            "request": {"api": api, "params": dict(sorted(params.items()))},
            "status": 200,
            "time": time,
            "body": body,
        }
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"
        frame = self._codec.compress(line, asbytes=True)
        crc, key = zlib.crc32(frame), request_key(api, params)
        header = _HEADER.pack(_SKIPPABLE, _HEADER.size - 8, len(frame), len(line), crc, key)
        if not self._shards or self._end >= self._shard_bytes:
            self._begin_shard()
        _write_whole(self._shards[-1], header + frame, self._end)
        self._places[key] = _Place(len(self._shards) - 1, self._end + _HEADER.size, len(frame), len(line), crc)
        self._end += _HEADER.size + len(frame)

    def _begin_shard(self) -> None:
        path = self.folder / PATTERN.replace("*", f"{len(self._shards):05d}")
        self._shards.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644))
        self._end = 0

    def close(self) -> None:
        """Close the files and let another process write."""
        for descriptor in self._shards:
            os.close(descriptor)
        self._shards.clear()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _headers(descriptor: int, shard: int, path: Path, size: int, last: bool) -> Iterator[tuple[bytes, _Place]]:
    """Key and place of every line whose header and length are whole, in order."""
    position = 0
    while position + _HEADER.size <= size:
        raw = os.pread(descriptor, _HEADER.size, position)
        magic, rest, frame, line, crc, key = _HEADER.unpack(raw)
        if magic != _SKIPPABLE or rest != _HEADER.size - 8:
            if last and not any(raw):
                return  # zeros at the end: a file grown before its bytes arrived
            raise CorruptInputError(
                f"{path} is damaged at byte {position}, or was not written by hierlandmarks",
                do="restore the file, or mine into a new folder",
            )
        offset = position + _HEADER.size
        if offset + frame > size:
            return
        yield key, _Place(shard, offset, frame, line, crc)
        position = offset + frame


def _intact(descriptor: int, place: _Place) -> bool:
    return zlib.crc32(os.pread(descriptor, place.frame, place.offset)) == place.crc


def _write_whole(descriptor: int, data: bytes, position: int) -> None:
    """Write all of `data` at `position` and force it to disk; on failure the file ends where it ended before."""
    try:
        written = 0
        while written < len(data):
            written += os.pwrite(descriptor, data[written:], position + written)
        os.fsync(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, position)
        raise


def _lock(folder: Path) -> int:
    """Take the folder for writing; the lock goes with the process, so a kill leaves none behind."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UsageError(
            f"another process is mining into {folder}", do="wait for it, or choose another folder"
        ) from error
    except OSError:  # a file system without such locks
        pass
    return descriptor
