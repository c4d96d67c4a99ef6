"""load() and Dataset: the images of a release with their labels, hierarchy and pixels.

>>> import hierlandmarks as hl
>>> hl.load("no-such-release")
Traceback (most recent call last):
...
hierlandmarks.errors.UsageError: there is no release 'no-such-release' and no folder of that name...
"""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks.errors import CorruptInputError, MissingDataError, UsageError
from hierlandmarks.hierarchy import Hierarchy
from hierlandmarks.images import TarImages, decode
from hierlandmarks.params import nearest
from hierlandmarks.progress import counted
from hierlandmarks.releases import Release, open_release
from hierlandmarks.schema import LEVELS, RELEASE
from hierlandmarks.shards import Shards

if TYPE_CHECKING:
    from PIL import Image

Ints = npt.NDArray[np.int64]
COLUMNS = [name for name in RELEASE.schema.names if name != "image"]
TEXT = {"landmark": "name", "label": "hierarchical_label", "kind": "natural_or_human_made"}  # of a level's codes


def load(
    name_or_folder: str | os.PathLike[str],
    split: str | None = None,
    *,
    root: str | os.PathLike[str] | None = None,
    verify: bool = False,
) -> Dataset:
    """Load a release of the dataset.

    Sizes, rows and columns of its files are checked every time; nothing else is read before it is asked for.

    Args:
        name_or_folder: a known name such as "mini" (built on first use in HIERLANDMARKS_HOME), or a release folder.
        split: "train", "train_clean", "index", "query" or "validation", as the release has them; None for all, one
            after the other.
        root: folder in GLDv2's layout with the tars, for a release that does not carry its images.
        verify: compare the SHA-256 of every file as well; reads all of it.

    Raises:
        UsageError: there is no such name or split; the message names the nearest.
        MissingDataError: the folder or one of its files is missing.
        CorruptInputError: the folder is no release, or a file of it is cut, changed, or another release's.
    """
    release = open_release(name_or_folder, verify=verify)
    if split is not None and split not in release.splits:
        raise UsageError(f"the release {release.name} has no split {split!r}", do=nearest(split, release.splits))
    return Dataset(release, split, root=root)


class Dataset:
    """Images of one split of a release (or of all), sorted by id within a split, with labels and hierarchy.

    Made by `load`. Opens what it needs when it is asked, keeps it, and pickles to workers without it.

    Attributes:
        name: of the release.
        version: of the release.
        split: the split it was loaded with, None for all.
        splits: the splits of the release.
    """

    def __init__(
        self,
        release: Release,
        split: str | None = None,
        *,
        rows: Ints | None = None,
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        self._release, self._rows, self._root = release, rows, root
        self.name, self.version = release.name, str(release.manifest.get("version", ""))
        self.split, self.splits = split, release.splits
        self._shards = Shards(release.shards(split))
        self._tars = TarImages(root) if root is not None else None

    @property
    def content_hash(self) -> str:
        """A hash of the rows and pictures of the split, whoever wrote the files; what `where` left out counts too."""
        manifest = self._release.manifest
        return str((manifest if self.split is None else manifest["splits"][self.split])["content_hash"])

    def table(self, columns: Sequence[str] = COLUMNS) -> pa.Table:
        """The same rows as an Arrow table, only the named columns of `schema.RELEASE` read; not kept.

        Raises:
            UsageError: there is no such column.
            CorruptInputError: a shard cannot be read.
        """
        for name in columns:
            if name not in RELEASE.schema.names:
                raise UsageError(f"there is no column {name!r}", do=nearest(name, RELEASE.schema.names))
        table = self._shards.table(columns)
        return table if self._rows is None else table.take(pa.array(self._rows))

    @cached_property
    def images(self) -> pd.DataFrame:
        """One row an image, columns as in `schema.RELEASE` without the bytes; row i is `image(i)` and `labels[i]`."""
        frame: pd.DataFrame = self.table().to_pandas()
        return frame.astype({"offset": "Int64", "size": "Int64"})  # empty for plain files, yet never 1.5e5

    @cached_property
    def labels(self) -> Ints:
        """Integer labels, N x 3, fine to coarse: landmark, label, kind; -1 where empty."""
        table = self.table(LEVELS)
        return np.stack([table[name].to_numpy() for name in LEVELS], axis=1)

    @cached_property
    def hierarchy(self) -> Hierarchy:
        """The tree the labels are the codes of."""
        return Hierarchy.from_csv(self._release.folder / "hierarchy.csv")

    def image(self, i: int) -> Image.Image:
        """The picture of row i, RGB and upright.

        Raises:
            IndexError: there is no row i.
            MissingDataError: the release does not carry its images, and no `root` was given to `load`.
            CorruptInputError: the picture cannot be read or decoded.
        """
        content = self.image_bytes(i)
        try:
            return decode(content)
        except CorruptInputError as error:
            raise CorruptInputError(f"image {self._places['id'][i].as_py()} of {self.name}: {error}") from error

    def image_bytes(self, i: int) -> bytes:
        """The picture of row i as it was encoded (JPEG); errors as `image`."""
        i = operator.index(i)
        if not -len(self) <= i < len(self):
            raise IndexError(f"there is no image {i} among {len(self)}")
        i %= len(self)
        content = self._shards.picture(i if self._rows is None else int(self._rows[i]))
        if content is not None:
            return content
        place = {name: self._places[name][i].as_py() for name in self._places.column_names}
        if self._tars is None or not place["file"]:
            raise MissingDataError(
                f"image {place['id']} is not in the release {self.name}",
                do="give `root`, the folder with the tars, to load()" if place["file"] else "fetch the images",
            )
        return self._tars.read(place["file"], place["offset"], place["size"])

    def where(self, **wanted: Any) -> Dataset:
        """The images whose columns have the wanted values, as a Dataset.

        Args:
            wanted: column = value or values. `label` and `kind` take a name of the hierarchy or an integer code,
                `landmark` the landmark's name or code; any other column of `images` takes its own values.

        Raises:
            UsageError: there is no such column, or no such label or kind in the hierarchy.

        ``ds.where(label="church", license=["CC0", "Public domain"])``
        """
        keep = np.ones(len(self), dtype=bool)
        for name, values in wanted.items():
            keep &= self._matches(name, list(values) if isinstance(values, list | tuple | set) else [values])
        rows = np.flatnonzero(keep)
        rows = rows if self._rows is None else self._rows[rows]
        return Dataset(self._release, self.split, rows=rows, root=self._root)

    def __len__(self) -> int:
        if self._rows is not None:
            return len(self._rows)
        return sum(rows for _, rows in self._release.shards(self.split))

    def __repr__(self) -> str:
        codes = dict(zip(LEVELS, self.labels.T, strict=True))
        found = [counted(len(np.unique(column[column >= 0])), name) for name, column in codes.items()]
        split = f" {self.split}" if self.split else f" ({', '.join(self.splits)})"
        part = "" if self._rows is None else ", a part"
        return f"<Dataset {self.name}{split}{part}: {counted(len(self), 'image')} of {', '.join(found)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._release, self.split, self._rows, self._root)

    # -- inside --

    @cached_property
    def _places(self) -> pa.Table:
        return self.table(["id", "file", "offset", "size"]).combine_chunks()

    def _matches(self, name: str, values: list[Any]) -> npt.NDArray[np.bool_]:
        if name not in COLUMNS:
            raise UsageError(f"there is no column {name!r}", do=nearest(name, COLUMNS))
        if name in TEXT and all(isinstance(value, str) for value in values):
            if name != "landmark":
                known = self.hierarchy.names(name).values()
                for value in values:
                    if value not in known:
                        raise UsageError(f"there is no {name} {value!r}", do=nearest(value, known))
            name = TEXT[name]
        column = self.table([name])[name]
        try:
            found = pc.is_in(column, value_set=pa.array(values, column.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise UsageError(f"{name} has no such value", got=repr(values), expected=f"{column.type}") from error
        matches: npt.NDArray[np.bool_] = found.to_numpy()
        return matches


def _again(release: Release, split: str | None, rows: Ints | None, root: str | os.PathLike[str] | None) -> Dataset:
    return Dataset(release, split, rows=rows, root=root)
