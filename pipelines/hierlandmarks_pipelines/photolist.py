"""Reading a plain list of landmarks and photos (two CSVs and a folder of JPEGs), as for Washington state."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from hierlandmarks import schema
from hierlandmarks.errors import CorruptInputError, MissingDataError
from hierlandmarks.images import index_tar
from hierlandmarks.official import IMAGE_ID, LANDMARK_ID, check_ids, check_landmarks, lookup
from hierlandmarks.progress import track
from hierlandmarks.tables import conform, from_rows, read_csv
from hierlandmarks_pipelines.layout import TAR, write_contents, write_pictures, write_rows
from hierlandmarks_pipelines.typeids import type_id
from hierlandmarks_pipelines.wikimedia.titles import category_title

SPACE = "train"
ROUTE = "supercategory"  # the type was read from a list, not mined
NO_TYPE = {"": "no-type", "Wikimedia category": "category-item-without-topic"}
_UNCLOSED = re.compile(r"\s*\([^()]*$")


@dataclass(frozen=True)
class PhotoList:
    """Where the parts lie.

    Attributes:
        folder: holds the rest.
        landmarks: a CSV with landmark_id, name, supercategory, category.
        photos: a CSV with landmark_id, image_id, url.
        pictures: a folder of JPEGs named by image_id.
    """

    folder: Path
    landmarks: str = "washington_landmarks.csv"
    photos: str = "washington_photos.csv"
    pictures: str = "photos"


def read_landmarks(files: PhotoList) -> dict[str, pa.Table]:
    """The tables categories, types, reasons and subclasses (empty: nothing is known above the types).

    A supercategory is a type known by its name; an empty one, or one that says the item describes a category,
    is none, and `reasons` says so.

    Raises:
        MissingDataError, TableError: a file is missing or wrong; the message names file and row.
    """
    path = files.folder / files.landmarks
    table = read_csv(path, ("landmark_id", "name", "supercategory", "category"), key=("landmark_id",))
    check_ids(table, "landmark_id", LANDMARK_ID, path)
    types, reasons = [], []
    for row in table.to_pylist():
        name = clean_name(row["supercategory"])
        landmark = {"space": SPACE, "landmark_id": row["landmark_id"], "category": row["category"]}
        reasons.append(landmark | {"reason": NO_TYPE.get(name, "typed")})
        if name not in NO_TYPE:
            title = category_title(row["category"])
            known = {"type_id": type_id(name), "type": name, "rank": "", "ended": False}
            types.append(landmark | known | {"item": "", "title": title, "route": ROUTE})
    return {
        "categories": from_rows([{"space": SPACE, **row} for row in table.to_pylist()], schema.CATEGORIES),
        "types": from_rows(types, schema.TYPES),
        "reasons": from_rows(reasons, schema.REASONS),
        "subclasses": schema.SUBCLASSES.schema.empty_table(),
    }


def clean_name(name: str) -> str:
    """A type's name without surrounding blanks or a parenthesis that was cut off.

    >>> clean_name("county hall ("), clean_name("library building (University of Washington Libraries)")
    ('county hall', 'library building (University of Washington Libraries)')
    """
    return _UNCLOSED.sub("", name.strip())


def read_photos(files: PhotoList, categories: pa.Table) -> pa.Table:
    """The list of photos: id, url, landmark_id and title, sorted by id.

    Raises:
        MissingDataError, TableError: a file is missing or wrong, an id is repeated or malformed, or a landmark is not
            in the list of landmarks; the message names file and row.
    """
    path = files.folder / files.photos
    table = read_csv(path, ("landmark_id", "image_id", "url"), key=("image_id",))
    check_ids(table, "image_id", IMAGE_ID, path)
    check_landmarks(table, categories, SPACE, path, files.landmarks)
    titles = [unquote(url.rpartition("/")[2]).replace("_", " ") for url in table["url"].to_pylist()]
    columns = {"id": table["image_id"], "url": table["url"], "landmark_id": table["landmark_id"]}
    return pa.table({**columns, "title": pa.array(titles, pa.string())}).sort_by("id")


def write_source(root: Path, files: PhotoList, categories: pa.Table, photos: pa.Table) -> pa.Table:
    """Write the photos as a GLDv2 source folder, and say where each of them lies.

    Returns:
        A `schema.IMAGES` table with every photo in the split train. Author and licence are empty: the photo's page,
        which its url leads to, names them.

    Raises:
        MissingDataError: a photo is missing.
        CorruptInputError: a photo's file is empty.
    """
    ids = photos["id"].to_pylist()
    write_pictures(root, SPACE, _pictures(files.folder / files.pictures, ids))
    metadata = root / "metadata"
    write_rows(
        metadata / "train_label_to_category.csv",
        "landmark_id,category",
        zip(categories["landmark_id"].to_pylist(), categories["category"].to_pylist(), strict=True),
    )
    columns = ("id", "url", "landmark_id")
    write_rows(metadata / "train.csv", ",".join(columns), zip(*(photos[c].to_pylist() for c in columns), strict=True))
    write_contents(root, "photos")
    places = index_tar(root / SPACE / TAR)
    fixed = {"split": "train", "usage": "", "space": SPACE, "author": "", "license": "", "file": f"{SPACE}/{TAR}"}
    table = photos
    for name, value in fixed.items():
        table = table.append_column(name, pa.repeat(pa.scalar(value), table.num_rows))
    for name in ("offset", "size"):
        table = table.append_column(name, lookup(table["id"], places, name, None))
    return conform(table, schema.IMAGES, "the list of photos")


def _pictures(folder: Path, ids: list[str]) -> Iterator[tuple[str, bytes]]:
    for image_id in track(ids, "packing photos", unit="photo"):
        path = folder / f"{image_id}.jpg"
        if not path.is_file():
            raise MissingDataError(
                f"{path} does not exist", do="add the photo, or remove its row from the list of photos"
            )
        content = path.read_bytes()
        if not content:
            raise CorruptInputError(
                f"{path} is empty", do="fetch the photo again, or remove its row from the list of photos"
            )
        yield image_id, content
