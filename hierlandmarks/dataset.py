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
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks.conditions import conditions, holds
from hierlandmarks.errors import CorruptInputError, MissingDataError, UsageError
from hierlandmarks.hierarchy import Hierarchy, level
from hierlandmarks.images import TarImages, decode
from hierlandmarks.officialcounts import NAME
from hierlandmarks.officialset import OfficialFolder
from hierlandmarks.params import nearest
from hierlandmarks.places import Places
from hierlandmarks.progress import counted
from hierlandmarks.releases import MANIFEST, Release, home, open_release
from hierlandmarks.schema import LEVELS, RELEASE
from hierlandmarks.stream import Stream
from hierlandmarks.torchview import TorchView

if TYPE_CHECKING:
    from PIL import Image

Ints = npt.NDArray[np.int64]
Source = Release | OfficialFolder  # both give name, version, splits, hierarchy and rows
COLUMNS = [name for name in RELEASE.schema.names if name != "image"]


@overload
def load(
    name_or_folder: str | os.PathLike[str],
    split: str | None = ...,
    *,
    columns: Sequence[str] | None = ...,
    streaming: Literal[False] = ...,
    root: str | os.PathLike[str] | None = ...,
    verify: bool = ...,
) -> Dataset: ...
@overload
def load(
    name_or_folder: str | os.PathLike[str],
    split: str | None = ...,
    *,
    columns: Sequence[str] | None = ...,
    streaming: Literal[True],
    root: str | os.PathLike[str] | None = ...,
    verify: bool = ...,
) -> Stream: ...
def load(
    name_or_folder: str | os.PathLike[str],
    split: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    streaming: bool = False,
    root: str | os.PathLike[str] | None = None,
    verify: bool = False,
) -> Dataset | Stream:
    """Load a release of the dataset, or Google Landmarks v2's own files.

    Sizes, rows and columns of a release's files are checked every time; nothing else is read before it is asked for.

    Args:
        name_or_folder: a known name: "mini" (built on first use in HIERLANDMARKS_HOME), "gldv2" (fetched with
            `hl.download`; its counts must be the published ones); or a release folder; or a folder with GLDv2's CSVs
            under their own names, whose counts are compared with its `dataset.json`, else with the published ones.
        split: "train", "train_clean", "index", "query" or "validation", as the release has them; None for all, one
            after the other.
        columns: what `Dataset.images` or the stream holds, of `schema.RELEASE`; all by default.
        streaming: give a `Stream`, which reads from front to back, a batch in memory at a time.
        root: folder in GLDv2's layout with the tars, or with the pictures out of them, for a release that does not
            carry its images.
        verify: check a release's every byte and row; reads all of it. See `releases.open_release`.

    Raises:
        UsageError: there is no such name, split or column; the message names the nearest.
        MissingDataError: the folder or one of its files is missing.
        CorruptInputError: the folder is no release, or a file of it is cut, changed, or another release's.
    """
    release = _open(name_or_folder, verify)
    if split is not None and split not in release.splits:
        raise UsageError(f"the release {release.name} has no split {split!r}", do=nearest(split, release.splits))
    columns = _known(columns or ())
    if streaming:
        wanted = columns or tuple(RELEASE.schema.names)
        return Stream(release.name, split, wanted, release.rows(split, wanted), release.hierarchy)
    return Dataset(release, split, columns=columns, root=root)


def _known(columns: Sequence[str]) -> tuple[str, ...]:
    """The columns, a lone name as one of them."""
    names = (columns,) if isinstance(columns, str) else tuple(columns)
    for name in names:
        if name not in RELEASE.schema.names:
            raise UsageError(f"there is no column {name!r}", do=nearest(name, RELEASE.schema.names))
    return names


def _open(name_or_folder: str | os.PathLike[str], verify: bool) -> Source:
    named = name_or_folder == NAME
    folder = home() / NAME if named else Path(name_or_folder).expanduser()
    if folder.is_dir() and not (folder / MANIFEST).is_file() and OfficialFolder.is_one(folder):
        return OfficialFolder(folder, named)
    if named and not Path(name_or_folder).is_dir():
        raise MissingDataError(
            f"{folder} does not hold Google Landmarks v2",
            do="hl.download('gldv2', what=('metadata',)) fetches its tables",
        )
    return open_release(name_or_folder, verify=verify)


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
        release: Source,
        split: str | None = None,
        *,
        rows: Ints | None = None,
        columns: Sequence[str] | None = None,
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        self._release, self._rows, self._root = release, rows, root
        self._columns = list(columns or COLUMNS)
        self.name, self.version = release.name, release.version
        self.split, self.splits = split, release.splits
        self._shards = release.rows(split, self._columns)
        folder = root if root is not None else self._shards.folder
        self._tars = TarImages(folder) if folder is not None else None
        self._count = len(self._shards) if rows is None else len(rows)

    @property
    def content_hash(self) -> str:
        """A hash of the rows and pictures of the split, whoever wrote the files; what `where` left out counts too."""
        return self._release.content_hash(self.split)

    def table(self, columns: Sequence[str] = COLUMNS) -> pa.Table:
        """The same rows as an Arrow table, only the named columns of `schema.RELEASE` read; not kept.

        Raises:
            UsageError: there is no such column.
            CorruptInputError: a shard cannot be read.
        """
        table = self._shards.table(_known(columns))
        return table if self._rows is None else table.take(pa.array(self._rows))

    @cached_property
    def images(self) -> pd.DataFrame:
        """One row an image, columns as in `schema.RELEASE` without the bytes; row i is `image(i)` and `labels[i]`."""
        # Column by column, so that the Arrow columns are never all there beside the pandas ones.
        return pd.DataFrame({name: _series(name, self.table([name])[name]) for name in self._columns}, copy=False)

    @cached_property
    def labels(self) -> Ints:
        """Integer labels, N x 3, fine to coarse: landmark, label, kind; -1 where empty."""
        table = self.table(LEVELS)
        return np.stack([table[name].to_numpy() for name in LEVELS], axis=1)

    @cached_property
    def hierarchy(self) -> Hierarchy:
        """The tree the labels are the codes of."""
        return self._release.hierarchy()

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
            raise CorruptInputError(f"image {self._places.id(i % len(self))} of {self.name}: {error}") from error

    def image_bytes(self, i: int) -> bytes:
        """The picture of row i as it was encoded (JPEG); errors as `image`."""
        i = operator.index(i)
        if not -self._count <= i < self._count:
            raise IndexError(f"there is no image {i} among {self._count}")
        i %= self._count
        content = self._shards.picture(i if self._rows is None else int(self._rows[i]))
        return content if content is not None else self._outside(i)

    def find(self, ids: str | Sequence[str]) -> Ints:
        """Positions of images by id: `ds.image(ds.find("00019b859b575233")[0])`.

        Raises:
            UsageError: there is no such image among these.
        """
        places = self._places
        return np.array([places.find_one(ids)]) if isinstance(ids, str) else places.find(ids)

    def levels(self, other: Dataset) -> Ints:
        """The level of every image of this set with every one of another, N x M; see `hierarchy.level`."""
        return level(self.labels[:, None], other.labels[None])

    def relevance(
        self, gallery: Dataset, kind: str = "proportional", alpha: float = 1.0, weights: Sequence[float] | None = None
    ) -> npt.NDArray[np.float64]:
        """How relevant every image of a gallery is to every one of this set, N x M; N·M in time and memory.

        An image that is in both is neither relevant to itself nor counted.

        Args:
            gallery: of the same release.
            kind, alpha, weights: as `hierlandmarks.metrics.relevance.relevance_of_levels`, where the formulas are.

        Raises:
            UsageError: the two are of different releases: their codes may differ.
        """
        from hierlandmarks.metrics.relevance import relevance_of_levels

        if self._release.content_hash(None) != gallery._release.content_hash(None):
            raise UsageError("the two sets are of different releases", got=f"{self!r} and {gallery!r}")
        levels = self.levels(gallery)
        same = self._places.keys[:, None] == gallery._places.keys[None]
        counts = np.stack([((levels == n) & ~same).sum(axis=1) for n in range(len(LEVELS) + 1)], axis=1)
        found = np.take_along_axis(relevance_of_levels(counts, kind, alpha, weights), levels, axis=1)
        return np.where(same, 0.0, found)

    def to_torch(self, transform: Callable[[Image.Image], Any] | None = None) -> TorchView:
        """The same images for `torch.utils.data.DataLoader`: (transformed picture, labels) by position.

        Args:
            transform: from a PIL picture to what a batch is made of; picklable, for workers that are spawned.
        """
        return TorchView(self, transform)

    def where(self, **wanted: Any) -> Dataset:
        """The images whose columns have the wanted values, as a Dataset.

        Args:
            wanted: column = value or values, as `conditions.conditions` has them: `label` and `kind` by name or code.

        Raises:
            UsageError: there is no such column, or no such label or kind in the hierarchy.

        ``ds.where(label="church", license=["CC0", "Public domain"])``
        """
        found = conditions(wanted, lambda: self.hierarchy)
        if not found:
            return self
        keep = holds(self.table(list(dict.fromkeys(one.column for one in found))), found).to_numpy()
        rows = np.flatnonzero(keep)
        rows = rows if self._rows is None else self._rows[rows]
        return Dataset(self._release, self.split, rows=rows, columns=self._columns, root=self._root)

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        codes = dict(zip(LEVELS, self.labels.T, strict=True))
        found = [counted(len(np.unique(column[column >= 0])), name) for name, column in codes.items()]
        split = f" {self.split}" if self.split else f" ({', '.join(self.splits)})"
        part = "" if self._rows is None else ", a part"
        return f"<Dataset {self.name}{split}{part}: {counted(len(self), 'image')} of {', '.join(found)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._release, self.split, self._rows, self._columns, self._root)

    # -- inside --

    @cached_property
    def _places(self) -> Places:
        table = self._shards.places()
        return Places(table if self._rows is None else table.take(pa.array(self._rows)))

    def _outside(self, i: int) -> bytes:
        """The picture of row i from its tar, else from the folder its tar was extracted to."""
        file, offset, size = self._places.at(i)
        if self._tars is not None and file and (offset is None or self._tars.has(file)):
            return self._tars.read(file, offset, size)
        if self._tars is not None and self._tars.has(extracted := self._places.extracted(i)):
            return self._tars.read(extracted)
        raise MissingDataError(
            f"image {self._places.id(i)} is not in the release {self.name}"
            + (f", and neither {file or 'a tar with it'} nor {extracted} is there" if self._tars else ""),
            do="fetch the images" if self._tars else "give `root`, the folder with the tars, to load()",
        )


def _series(name: str, column: pa.ChunkedArray) -> pd.Series:
    if pa.types.is_string(column.type):  # pandas' own layout, and like the column from the system's allocator
        column = pc.cast(column, pa.large_string(), memory_pool=pa.system_memory_pool())
    found: pd.Series = column.to_pandas()
    return found.astype("Int64") if name in ("offset", "size") else found  # empty for plain files, yet never 1.5e5


def _again(
    release: Source, split: str | None, rows: Ints | None, columns: list[str], root: str | os.PathLike[str] | None
) -> Dataset:
    return Dataset(release, split, rows=rows, columns=columns, root=root)
