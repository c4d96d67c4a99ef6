"""The photos of landmarks as vectors: a list of photos and a folder of pictures in, seen once by a model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hierlandmarks.errors import CorruptInputError, MissingDataError, TableError
from hierlandmarks.images import decode
from hierlandmarks.progress import counted, say, track
from hierlandmarks.tables import read_csv
from hierlandmarks_pipelines.photomodel import DEFAULT, PhotoModel, Vectors

if TYPE_CHECKING:
    from PIL import Image

_UNREADABLE = 0.01  # share of photos that may be unreadable; above it the folder is at fault, not a photo


@dataclass(frozen=True)
class Photos:
    """Where the photos of landmarks are, and what sees them.

    Attributes:
        listed: CSV with landmark_id and `id` (or `image_id`), a row a photo; ids are those of the landmarks' CSVs.
        folder: of pictures named ID.jpg, lying flat or as GLDv2's tars unpack (a/b/c/ID.jpg).
        model: of `photomodel.load_photo_model`.
    """

    listed: Path
    folder: Path
    model: str = DEFAULT


@dataclass(frozen=True)
class Gallery:
    """Photos seen by a model.

    Attributes:
        vectors: P × D unit vectors.
        rows: landmark_id → the rows of its photos, in the order of the list.
        unreadable: "ID (reason)" of the photos left out.
    """

    vectors: Vectors
    rows: Mapping[str, tuple[int, ...]]
    unreadable: tuple[str, ...]

    def of(self, landmark_id: str) -> tuple[int, ...]:
        """The rows of a landmark's photos, none where there are none."""
        return self.rows.get(landmark_id, ())


def read_gallery(photos: Photos, model: PhotoModel) -> Gallery:
    """See every listed photo once.

    Args:
        photos: where they are.
        model: what `photos.model` names, loaded.

    Raises:
        MissingDataError, TableError: the list is missing or wrong, or the folder lacks a listed photo.
        CorruptInputError: more than 1 % of the photos cannot be read; the message names them.

    Linear in photos; a batch of pictures in memory at a time.
    """
    listed = _read_list(photos.listed)
    paths = [_path(photos.folder, photo) for photo, _ in listed]
    seen: list[int] = []
    unreadable: list[str] = []

    def pictures() -> Iterator[Image.Image]:
        for row, path in enumerate(track(paths, "see photos", unit="photo")):
            try:
                picture = decode(path.read_bytes())
            except CorruptInputError as error:
                unreadable.append(f"{listed[row][0]} ({error})")
                continue
            seen.append(row)
            yield picture

    vectors = model.pictures(pictures())
    _report(unreadable, len(listed), photos.folder)
    rows: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(seen):
        rows[listed[row][1]].append(place)
    return Gallery(vectors, {landmark: tuple(places) for landmark, places in rows.items()}, tuple(unreadable))


def _read_list(path: Path) -> list[tuple[str, str]]:
    """(photo, landmark) of every row."""
    table = read_csv(path, ("landmark_id",), optional=("id", "image_id"))
    rows = [(row["id"] or row["image_id"], row["landmark_id"]) for row in table.to_pylist()]
    for number, (photo, landmark) in enumerate(rows, start=2):
        if not (photo and landmark):
            raise TableError(f"{path} row {number}: a photo needs id and landmark_id", got=f"{photo!r}, {landmark!r}")
    return rows


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
