"""Where each image of a dataset lies, in arrays: by position in nanoseconds, by id in a binary search."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks.errors import CorruptInputError, UsageError
from hierlandmarks.imageids import keys_of
from hierlandmarks.images import IMAGE_ID

Ints = npt.NDArray[np.int64]
FOLDER = {"index": "index", "query": "test"}  # of a split's pictures in GLDv2's layout; those of the others in `train`


class Places:
    """Files, offsets and sizes of images, row by row; `keys` are their ids as numbers.

    Args:
        table: columns id, split, file, offset, size; `file` empty where it is not known.

    Raises:
        CorruptInputError: an id is not 16 hex digits.
    """

    def __init__(self, table: pa.Table) -> None:
        self.keys, bad = keys_of(table["id"])
        if bad is not None:
            raise CorruptInputError(
                f"the id of row {bad + 1} is wrong", got=repr(table["id"][bad].as_py()), expected="16 hex digits"
            )
        self._splits, self._split = _encoded(table["split"])
        self._files, file = _encoded(table["file"])
        offset, size = (pc.fill_null(table[name], -1).to_numpy() for name in ("offset", "size"))
        # One picture at a time: a memoryview gives a plain number in a third of the time an array takes.
        self._offset, self._size, self._file_of = offset.data, size.data, file.data

    def __len__(self) -> int:
        return len(self.keys)

    def id(self, row: int) -> str:
        """The image's id."""
        return f"{int(self.keys[row]):016x}"

    def at(self, row: int) -> tuple[str, int | None, int | None]:
        """File, offset and size; the file alone where it is the picture."""
        file, offset = self._files[self._file_of[row]], self._offset[row]
        return (file, None, None) if offset < 0 else (file, offset, self._size[row])

    def extracted(self, row: int) -> str:
        """Where the picture lies if its tar was extracted: `train/a/b/c/ID.jpg`."""
        image = self.id(row)
        return "/".join([FOLDER.get(self._splits[self._split[row]], "train"), *image[:3], f"{image}.jpg"])

    def find_one(self, image: str) -> int:
        """The row of one image; as `find`, and ten times faster for one.

        Raises:
            UsageError: there is no such image.
        """
        if IMAGE_ID.fullmatch(image):
            key, order = int(image, 16), self._order
            place = bisect_left(self._sorted, key)
            if place < len(self) and self._sorted[place] == key:
                return place if order is None else int(order[place])
        raise UsageError(f"there is no image {image!r}", do="check the split, and that ids are text")

    def find(self, ids: Sequence[str]) -> Ints:
        """Rows of images by id, the first where one is in several splits.

        Raises:
            UsageError: there is no such image.
        """
        wanted, bad = keys_of(pa.array(ids, pa.string()))
        if bad is None and len(wanted) and not len(self):
            bad = 0
        if bad is None and len(wanted):
            order = self._order
            place = np.minimum(np.searchsorted(self.keys, wanted, sorter=order), len(self) - 1)
            rows: Ints = order[place] if order is not None else place
            missing = self.keys[rows] != wanted
            if not missing.any():
                return rows
            bad = int(np.argmax(missing))
        if bad is not None:
            raise UsageError(f"there is no image {ids[bad]!r}", do="check the split, and that ids are text")
        return np.empty(0, dtype=np.int64)

    @cached_property
    def _sorted(self) -> memoryview:
        return (self.keys if self._order is None else self.keys[self._order]).data

    @cached_property
    def _order(self) -> Ints | None:
        """Rows in the order of their ids, None where they are in it already, as within a split."""
        return None if (self.keys[1:] >= self.keys[:-1]).all() else np.argsort(self.keys, kind="stable")


def _encoded(column: pa.ChunkedArray) -> tuple[list[str], Ints]:
    values = column.unique()
    return values.to_pylist(), pc.index_in(column, value_set=values).to_numpy().astype(np.int32)
