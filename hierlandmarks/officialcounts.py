"""Whether GLDv2's own files hold what the catalog says: rows of the files; images, landmarks and labels of the splits.

A file cut at the end of a line, or one of another version, reads like a right one. Only its counts tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks.catalog import OWN, RemoteDataset, find_dataset, own_dataset
from hierlandmarks.errors import CorruptInputError
from hierlandmarks.progress import say

NAME = "gldv2"


@dataclass(frozen=True)
class Counts:
    """What a folder should hold.

    Attributes:
        root: the folder.
        known: the whole dataset, or what the folder says of itself in `dataset.json`.
        strict: refuse what differs; else say so, since a part may be meant.
    """

    root: Path
    known: RemoteDataset
    strict: bool

    @classmethod
    def of(cls, root: Path, named: bool) -> Counts:
        """What a folder should hold: the whole dataset where it was asked for by name, else what it says itself."""
        whole = find_dataset(NAME)
        if named:
            return cls(root, whole, True)
        return cls(root, own_dataset(root, whole), (root / OWN).is_file())

    def check_file(self, path: str, rows: int) -> None:
        """Compare the rows of a file.

        Raises:
            CorruptInputError: they are more or fewer, when strict.
        """
        expected = next((file.rows for file in self.known.metadata if file.path == path), None)
        if expected is not None:
            self._compare(path, {"rows": rows}, {"rows": expected})

    def check_split(self, split: str, table: pa.Table) -> None:
        """Compare the images, landmarks and labels of a split (`schema.RELEASE` without `image`).

        Raises:
            CorruptInputError: they are more or fewer, when strict.
        """
        expected = self.known.splits.get(split, {})
        self._compare(f"the split {split}", {what: _count(what, table) for what in expected}, expected)

    def _compare(self, what: str, found: Mapping[str, int], expected: Mapping[str, int]) -> None:
        if found == expected:
            return
        error = CorruptInputError(
            f"{what} in {self.root} is not that of {self.known.name} {self.known.version}",
            got=_spell(found),
            expected=_spell(expected),
            do="fetch the metadata again; a folder that holds a part on purpose says so in dataset.json",
        )
        if self.strict:
            raise error
        say(str(error))


def _count(what: str, table: pa.Table) -> int:
    if what == "images":
        return int(table.num_rows)
    if what in ("public", "private"):
        return int(pc.sum(pc.equal(table["usage"], what.capitalize()), min_count=0).as_py())
    codes = table[what.removesuffix("s")]  # of landmarks or labels
    return int(pc.count_distinct(codes.filter(pc.greater_equal(codes, 0))).as_py())


def _spell(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {what}" for what, number in counts.items())
