"""What is known of many pictures after looking at each once: ids, repeats, whether they decode, how large they are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from hierlandmarks.errors import CorruptInputError
from hierlandmarks.images import TarImages, decode, index_tar

NAMED = 20  # ids of pictures at fault that a report lists
_AHEAD = 256  # pictures looked at in one go


class Look(NamedTuple):
    """What one picture is.

    Attributes:
        mark: 64 bits of a hash of its bytes: equal bytes, equal marks.
        side: its smaller side in pixels, 0 where it does not decode, None where that was not tried.
    """

    mark: int
    side: int | None


def look(content: bytes, *, decoded: bool) -> Look:
    """Look at the bytes of one picture."""
    mark = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
    if not decoded:
        return Look(mark, None)
    try:
        return Look(mark, min(decode(content).size))
    except CorruptInputError:
        return Look(mark, 0)


def check_pictures(pool: Executor, decoded: bool) -> Callable[[Iterable[bytes]], Iterator[Look]]:
    """A function that looks at many pictures with the threads of a pool, in order."""
    return lambda contents: pool.map(lambda content: look(content, decoded=decoded), contents)


class Pictures:
    """The pictures of a split, added tar by tar or one by one; some 40 bytes of memory each.

    Args:
        looks: looks at many pictures, in order.
    """

    def __init__(self, looks: Callable[[Iterable[bytes]], Iterator[Look]]) -> None:
        self._looks = looks
        self._ids: list[pa.Array] = []
        self._marks: list[np.ndarray[Any, np.dtype[np.uint64]]] = []
        self._broken: list[str] = []
        self._smallest: int | None = None
        self.count = 0
        self.size = 0

    def add_tar(self, path: Path) -> int:
        """Look at every picture of a tar; returns how many there are.

        Raises:
            CorruptInputError: as `images.index_tar`.
        """
        rows = index_tar(path).sort_by("offset").to_pylist()
        images = TarImages(path.parent)
        count = self.add((row["id"], images.read(path.name, row["offset"], row["size"])) for row in rows)
        images.close()
        return count

    def add(self, pictures: Iterable[tuple[str, bytes]]) -> int:
        """Look at pictures, given as id and bytes; returns how many there are."""
        ids, marks, rest = [], [], iter(pictures)
        while part := list(islice(rest, _AHEAD)):
            for (image, content), seen in zip(part, self._looks(content for _, content in part), strict=True):
                ids.append(image)
                marks.append(seen.mark)
                self.size += len(content)
                if seen.side == 0:
                    self._broken.append(image)
                elif seen.side is not None:
                    self._smallest = min(seen.side, self._smallest or seen.side)
        self._ids.append(pa.array(ids, pa.string()))
        self._marks.append(np.array(marks, dtype=np.uint64))
        self.count += len(ids)
        return len(ids)

    def ids(self) -> pa.Array:
        """The ids of all pictures, in the order of the tars."""
        return pa.concat_arrays([pa.array([], pa.string()), *self._ids])

    def facts(self) -> dict[str, Any]:
        """What the pictures are together; see `verification.Finding`."""
        marks = np.concatenate([np.array([], dtype=np.uint64), *self._marks])
        facts: dict[str, Any] = {
            "same_bytes": int(len(marks) - len(np.unique(marks))),
            "twice": int(self.count - len(self.ids().unique())),
        }
        if self._smallest is not None or self._broken:
            facts |= {"smallest_side": self._smallest, "undecodable": len(self._broken)}
            facts["undecodable_ids"] = sorted(self._broken)[:NAMED]
        return facts
