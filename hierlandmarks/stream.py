"""A dataset read from front to back, a batch in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pyarrow as pa

from hierlandmarks.conditions import Condition, conditions
from hierlandmarks.errors import UsageError
from hierlandmarks.hierarchy import Hierarchy
from hierlandmarks.images import decode


class Rows(Protocol):
    """What a stream reads from: `shards.Shards`, or the rows of GLDv2's own files."""

    def batches(
        self, columns: tuple[str, ...], part: int = 0, parts: int = 1, wanted: tuple[Condition, ...] = ()
    ) -> Iterator[pa.RecordBatch]:
        """The rows for which all conditions hold, in batches."""


@dataclass(frozen=True)
class Stream:
    """The images of a split, one after the other, as `hl.load(..., streaming=True)` gives them.

    Iterating gives one mapping a row, column -> value; `image` is decoded to a PIL picture. Starts anew every time.

    Attributes:
        name: of the release.
        split: the split, None for all.
        columns: what is read.
        rows: where from.
        hierarchy: gives the tree of the labels.
        share: which share of the rows, and of how many; see `part`.
        wanted: what holds of the rows that are given; see `where`.
    """

    name: str
    split: str | None
    columns: tuple[str, ...]
    rows: Rows
    hierarchy: Callable[[], Hierarchy]
    share: tuple[int, int] = (0, 1)
    wanted: tuple[Condition, ...] = ()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows as Arrow batches, pictures as they were encoded.

        Raises:
            CorruptInputError: a shard cannot be read, or a page of it was changed.
        """
        return self.rows.batches(self.columns, *self.share, self.wanted)

    def part(self, number: int, of: int) -> Stream:
        """One of several shares that together are the whole, for workers that read side by side.

        Args:
            number: from 0.

        Raises:
            UsageError: there is no such share.
        """
        if not 0 <= number < of:
            raise UsageError("there is no such part of the stream", got=f"{number} of {of}", expected=f"0 to {of - 1}")
        here, parts = self.share
        return replace(self, share=(here + number * parts, parts * of))

    def where(self, **wanted: Any) -> Stream:
        """The rows whose columns have the wanted values, as a Stream; pictures of the others are not read.

        Args:
            wanted: as `Dataset.where`; columns that the stream does not give can be asked for too.

        Raises:
            UsageError: there is no such column, or no such label or kind in the hierarchy.
        """
        return replace(self, wanted=(*self.wanted, *conditions(wanted, self.hierarchy)))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.batches():
            for row in batch.to_pylist():
                if row.get("image") is not None:
                    row["image"] = decode(row["image"])
                yield row
