"""The photos of landmarks as vectors: a list of photos and a folder of pictures in, seen once by a model."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hierlandmarks.errors import CorruptInputError, MissingDataError, TableError
from hierlandmarks.images import decode
from hierlandmarks.progress import counted, say, track
from hierlandmarks.schema import SPACES
from hierlandmarks.tables import read_csv
from hierlandmarks_pipelines.photomodel import DEFAULT, PhotoModel
from hierlandmarks_pipelines.vectorcache import VectorCache, Vectors

if TYPE_CHECKING:
    from PIL import Image

_UNREADABLE = 0.01  # share of photos that may be unreadable; above it the folder is at fault, not a photo
_TOGETHER = 128  # photos seen between two writes of the cache

Place = tuple[str, str]  # space, landmark_id: train and index number their landmarks independently


@dataclass(frozen=True)
class Photos:
    """Where the photos of landmarks are, and what sees them.

    Attributes:
        listed: CSV with landmark_id and `id` (or `image_id`), a row a photo, and the landmark's `space`, which is
            train where it is empty or no column.
        folder: of pictures named ID.jpg, lying flat or as GLDv2's tars unpack (a/b/c/ID.jpg).
        model: of `photomodel.load_photo_model`; a folder is looked for from where the command runs.
    """

    listed: Path
    folder: Path
    model: str = DEFAULT


@dataclass(frozen=True)
class Gallery:
    """Photos seen by a model.

    Attributes:
        vectors: P × D unit vectors.
        rows: space and landmark_id → the rows of its photos, in the order of the list.
        unreadable: "ID (reason)" of the photos left out.
    """

    vectors: Vectors
    rows: Mapping[Place, tuple[int, ...]]
    unreadable: tuple[str, ...]

    def of(self, row: Mapping[str, str]) -> tuple[int, ...]:
        """The rows of a landmark's photos, none where there are none; it is of train where its space is not known."""
        return self.rows.get((row.get("space") or SPACES[0], row["landmark_id"]), ())


def read_gallery(photos: Photos, model: PhotoModel) -> Gallery:
    """See every listed photo once.

    What a model saw of a picture is kept in HIERLANDMARKS_HOME by the picture's content, so whoever is interrupted goes
    on, and asks again for nothing.

    Args:
        photos: where they are.
        model: what `photos.model` names, loaded.

    Raises:
        MissingDataError, TableError: the list or the folder is missing or wrong, or the folder lacks a listed photo.
        CorruptInputError: more than 1 % of the photos cannot be read; the message names them.

    Linear in photos; a few dozen pictures in memory at a time.
    """
    listed = _read_list(photos.listed)
    if not photos.folder.is_dir():
        raise MissingDataError(
            f"there is no folder of pictures {photos.folder}", expected="ID.jpg of every listed photo", do="name it"
        )
    paths = [_path(photos.folder, photo) for photo, _ in listed]
    rows: dict[Place, list[int]] = defaultdict(list)
    vectors: list[Vectors] = []
    unreadable: list[str] = []
    left = iter(track(zip(listed, paths, strict=True), "see photos", total=len(paths), unit="photo"))
    with VectorCache("photo-vectors", model.name, model.version) as cache:
        while some := list(islice(left, _TOGETHER)):
            for ((photo, place), _), seen in zip(some, _see([path for _, path in some], model, cache), strict=True):
                if isinstance(seen, str):
                    unreadable.append(f"{photo} ({seen})")
                else:
                    rows[place].append(len(vectors))
                    vectors.append(seen)
    _report(unreadable, len(listed), photos.folder)
    found = np.stack(vectors) if vectors else np.zeros((0, 0), np.float32)
    return Gallery(found, {place: tuple(numbers) for place, numbers in rows.items()}, tuple(unreadable))


def _see(paths: Sequence[Path], model: PhotoModel, cache: VectorCache) -> list[Vectors | str]:
    """The vector of every picture, or why it has none."""
    contents = [path.read_bytes() for path in paths]
    keys = [hashlib.sha256(content).hexdigest() for content in contents]
    known: dict[str, Vectors | str] = {**cache.get(keys)}
    new: dict[str, Image.Image] = {}
    for key, content in zip(keys, contents, strict=True):
        if key not in known:
            try:
                new[key] = decode(content)
            except CorruptInputError as error:
                known[key] = str(error)
    if new:
        vectors = model.pictures(new.values())
        cache.put(list(new), vectors)
        known.update(zip(new, vectors, strict=True))
    return [known[key] for key in keys]


def _read_list(path: Path) -> list[tuple[str, Place]]:
    """Photo and landmark of every row."""
    table = read_csv(path, ("landmark_id",), optional=("id", "image_id", "space"))
    rows = [
        (row["id"] or row["image_id"], (row["space"] or SPACES[0], row["landmark_id"])) for row in table.to_pylist()
    ]
    for number, (photo, (space, landmark)) in enumerate(rows, start=2):
        if not (photo and landmark):
            raise TableError(f"{path} row {number}: a photo needs id and landmark_id", got=f"{photo!r}, {landmark!r}")
        check_space(space, path, number)
    return rows


def check_space(space: str, path: Path, number: int) -> None:
    """Refuse a cell of the column `space` that names none.

    Raises:
        TableError: naming file and row.
    """
    if space not in SPACES:
        raise TableError(f"{path} row {number}: there is no space {space!r}", expected=" or ".join(SPACES))


def _path(folder: Path, photo: str) -> Path:
    flat = folder / f"{photo}.jpg"
    nested = folder.joinpath(*photo[:3], f"{photo}.jpg")
    if not flat.is_file() and not nested.is_file():
        raise MissingDataError(
            f"the photo {photo} is not in {folder}",
            expected=f"{flat.name} or {nested.relative_to(folder)}",
            do="extract the pictures there, or shorten the list",
        )
    return flat if flat.is_file() else nested


def _report(unreadable: Sequence[str], listed: int, folder: Path) -> None:
    if not unreadable:
        return
    names = "; ".join(unreadable[:5])
    if len(unreadable) > _UNREADABLE * listed:
        raise CorruptInputError(
            f"{len(unreadable)} of {counted(listed, 'photo')} in {folder} cannot be read",
            got=names,
            expected=f"at most {_UNREADABLE:.0%}",
            do="fetch them again",
        )
    say(f"  {counted(len(unreadable), 'photo')} cannot be read and are left out: {names}")
