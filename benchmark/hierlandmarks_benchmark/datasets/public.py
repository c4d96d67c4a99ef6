"""Images with labels out of a folder that others laid out: what `hl.Dataset` is for a release.

The label columns of a public set need not be a tree by their words alone: the genus Morus is a gannet and a mulberry.
`Listing` makes them one, by naming a label that lies below several with the one above it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from hierlandmarks.errors import CorruptInputError, MissingDataError, UsageError
from hierlandmarks.hierarchy import Hierarchy
from hierlandmarks.images import decode
from hierlandmarks.params import nearest

if TYPE_CHECKING:
    from PIL import Image

Ints = NDArray[np.int64]
ABOUT = ("id", "split", "usage")  # columns of every listing, before the label columns


class Listing:
    """What a folder holds: one row an image, sorted by split and id.

    Args:
        rows: columns `id` (path of the picture within the folder), `split`, and the levels, all text.
        levels: the label columns, fine → coarse.

    Attributes:
        rows: as given, with `usage` (empty: no public set has parts), labels made a tree.
        levels: as given.

    Raises:
        CorruptInputError: an image is listed twice in a split, or there is none.
    """

    def __init__(self, rows: pd.DataFrame, levels: Sequence[str]) -> None:
        self.levels = tuple(levels)
        if not len(rows):
            raise CorruptInputError("the folder lists no images")
        if (twice := rows.duplicated(["id", "split"])).any():
            raise CorruptInputError(f"the picture {rows['id'][twice].iloc[0]} is listed twice", do="remove one")
        rows = rows.assign(usage="").sort_values(["split", "id"], ignore_index=True)
        self.rows = treelike(rows, self.levels)[[*ABOUT, *self.levels]]


Reader = Callable[[Path], Listing]


class PublicDataset:
    """Images of one split of a public set (or of all), with labels and hierarchy; pickles to workers.

    Attributes:
        name: of the layout.
        version: empty: these folders carry none.
        split: the split, None for all.
    """

    version = ""

    def __init__(self, name: str, root: Path, listing: Listing, split: str | None = None) -> None:
        self.name, self.root, self.split, self._listing = name, root, split, listing
        rows = listing.rows
        self.images: pd.DataFrame = rows if split is None else rows[rows["split"] == split].reset_index(drop=True)

    def of(self, split: str | None) -> PublicDataset:
        """The images of a split.

        Raises:
            UsageError: there is no such split.
            MissingDataError: its first picture is not there.
        """
        if split is not None and split not in self.splits:
            raise UsageError(f"{self.name} has no split {split!r}", do=nearest(split, self.splits))
        found = PublicDataset(self.name, self.root, self._listing, split)
        if not (self.root / (first := found.images["id"].iloc[0])).is_file():
            raise MissingDataError(f"{self.root} lacks the picture {first} that it lists", do="unpack the images there")
        return found

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self._listing.rows["split"].unique())

    @cached_property
    def content_hash(self) -> str:
        """A hash of the split's ids and labels; pictures do not count, they would have to be read for it."""
        return hashlib.sha256(self.images.to_csv(index=False).encode()).hexdigest()

    @cached_property
    def hierarchy(self) -> Hierarchy:
        """The tree of the labels of all splits."""
        return Hierarchy.from_columns(self._listing.rows[list(self._listing.levels)])

    @cached_property
    def labels(self) -> Ints:
        """Integer labels, N × L, fine → coarse."""
        return self.hierarchy.encode(self.images[list(self._listing.levels)])

    def table(self, columns: Sequence[str]) -> pa.Table:
        """The named columns of `images` as an Arrow table."""
        return pa.Table.from_pandas(self.images[list(columns)], preserve_index=False)

    def image_bytes(self, i: int) -> bytes:
        """The picture of row i as it was encoded.

        Raises:
            MissingDataError: it is not there.
        """
        path = self.root / str(self.images["id"].iloc[i])
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise MissingDataError(f"{path} does not exist", do="unpack the images there") from error

    def image(self, i: int) -> Image.Image:
        """The picture of row i, RGB and upright.

        Raises:
            MissingDataError: it is not there.
            CorruptInputError: it cannot be decoded.
        """
        return decode(self.image_bytes(i))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"<PublicDataset {self.name} {self.split or ', '.join(self.splits)}: {len(self):,} images>"


def treelike(rows: pd.DataFrame, levels: Sequence[str]) -> pd.DataFrame:
    """The same rows, labels that lie below several told apart by the name of the one above.

    >>> birds = pd.DataFrame({"genus": ["Morus", "Morus", "Larus"], "family": ["Sulidae", "Moraceae", "Laridae"]})
    >>> treelike(birds, ["genus", "family"])["genus"].tolist()
    ['Morus (Sulidae)', 'Morus (Moraceae)', 'Larus']
    """
    rows = rows.copy()
    for fine, coarse in reversed(list(pairwise(levels))):  # parents first
        pairs = rows[[fine, coarse]].drop_duplicates()
        several = set(pairs[fine][pairs[fine].duplicated()])
        unclear = rows[fine].isin(several)
        rows.loc[unclear, fine] += " (" + rows.loc[unclear, coarse] + ")"
    return rows
