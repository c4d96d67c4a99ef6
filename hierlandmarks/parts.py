"""Half-fetched files: who works on one, and what is known of its source, so that a kill loses nothing.

Beside the target `NAME` lie `.NAME.part`, its bytes so far, and `.NAME.part.json`, what the server said of it. Whoever
works on it owns it by renaming it to `.NAME.part.HOST.PID`: a rename happens once, also on NFS, so two processes never
write to one file. The part of a process that is gone is taken over.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hierlandmarks.errors import IncompleteError, TableError
from hierlandmarks.tables import read_json, write_json

STALE = 600.0  # seconds without a sign of life after which an owner elsewhere counts as gone
_ours: set[Path] = set()  # parts this process works on: a process can come back under its number, as in a container


class BusyError(IncompleteError):
    """Another process is fetching the file."""


@dataclass(frozen=True)
class Source:
    """What the server said of the file the part's bytes belong to.

    Attributes:
        etag: strong entity tag, "" when there is none.
        total: bytes of the whole file, None when it did not say. Without either the part cannot be continued.
    """

    etag: str = ""
    total: int | None = None


class Part:
    """A half-fetched file that this process owns.

    Raises:
        BusyError: another living process owns it.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        target.parent.mkdir(parents=True, exist_ok=True)
        self._free = target.with_name(f".{target.name}.part")
        self._facts = target.with_name(f".{target.name}.part.json")
        self.path = self._free.with_name(f"{self._free.name}.{_host()}.{os.getpid()}")
        self._stream = self._claim()
        _ours.add(self.path)
        self.source = self._read_source()

    def _claim(self) -> IO[bytes]:
        for candidate in (self._free, *self._owned()):
            if candidate != self._free and _is_alive(candidate):
                raise self._busy(candidate)
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                os.rename(candidate, self.path)
                break
        stream = open(self.path, "ab", buffering=0)  # noqa: SIM115 - open for the life of the part
        # Two processes that began at the same moment: the one with bytes, or the smaller name, goes on. Should both
        # go on, each fetches the whole file by itself, and both results are right.
        for other in self._owned():
            if other != self.path and _is_alive(other) and (_size(other) > 0 or other.name < self.path.name):
                self._hand_back(stream)
                raise self._busy(other)
        return stream

    def _owned(self) -> list[Path]:
        prefix = f"{self._free.name}."
        siblings = (path for path in self.target.parent.iterdir() if path.name.startswith(prefix))
        return sorted(path for path in siblings if path != self._facts and not path.name.endswith(".part"))

    def _busy(self, other: Path) -> BusyError:
        return BusyError(
            f"another process is fetching {self.target}",
            got=other.name,
            do=f"wait for it; if there is none, delete {other}",
        )

    def _read_source(self) -> Source:
        try:
            facts = read_json(self._facts)
            return Source(str(facts["etag"]), None if facts["total"] is None else int(facts["total"]))
        except (FileNotFoundError, TableError, KeyError, TypeError, ValueError):
            return Source()

    @property
    def size(self) -> int:
        """Bytes so far."""
        return os.fstat(self._stream.fileno()).st_size

    def begin(self, source: Source) -> None:
        """Start over, with bytes of `source`."""
        self._stream.truncate(0)
        self.source = source
        write_json(self._facts, {"etag": source.etag, "total": source.total})

    def write(self, content: bytes) -> int:
        """Add bytes at the end, where they survive a kill from here on; the size afterwards."""
        view = memoryview(content)
        while view:
            view = view[self._stream.write(view) :]
        return self._stream.tell()

    def touch(self) -> None:
        """Give a sign of life."""
        os.utime(self.path)

    def finish(self, *, synced: bool) -> None:
        """The bytes are right: give the file its name, and clear away what dead processes left.

        Args:
            synced: have the bytes on disk for good before, so that even a power cut leaves no wrong file of that name.
        """
        if synced:
            os.fsync(self._stream.fileno())
        self._stream.close()
        os.replace(self.path, self.target)
        _ours.discard(self.path)
        for litter in (self._facts, self._free, *(other for other in self._owned() if not _is_alive(other))):
            litter.unlink(missing_ok=True)

    def release(self) -> None:
        """Let any process go on with what is there; nothing to do after `finish`."""
        if not self._stream.closed:
            self._hand_back(self._stream)

    def _hand_back(self, stream: IO[bytes]) -> None:
        empty = not os.fstat(stream.fileno()).st_size
        stream.close()
        if empty:
            self.path.unlink(missing_ok=True)
        else:
            os.replace(self.path, self._free)
        _ours.discard(self.path)


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname()) or "host"


def _is_alive(owned: Path) -> bool:
    """Whether the owner named in a part's file name may still be at work."""
    host, _, pid = owned.name.rpartition(".part.")[2].rpartition(".")
    if not pid.isdigit() or time.time() - _modified(owned) > STALE:
        return False
    if host != _host():
        return True
    if int(pid) == os.getpid():
        return owned in _ours
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
