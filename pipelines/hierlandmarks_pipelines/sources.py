"""Where landmarks and photos come from: GLDv2's own folder, or a list of landmarks with photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from hierlandmarks.errors import MissingDataError, UsageError
from hierlandmarks.releases import home
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks_pipelines.gldv2 import read_categories, read_images
from hierlandmarks_pipelines.photolist import PhotoList, read_landmarks, read_photos, write_source

CLEAN = ("", "split", "only")


@dataclass(frozen=True)
class MetadataParams:
    """Settings of the stage `metadata`.

    Attributes:
        root: folder in GLDv2's layout, for recipes that make no `source`; by default where
            `hierlandmarks fetch` puts it.
        clean: what becomes of train_clean.csv: "" nothing, "split" a split of its own beside `train`, "only" the split
            `train`.
    """

    root: Path | None = None
    clean: str = ""


def read_metadata(root: Path, *, clean: str = "") -> dict[str, pa.Table]:
    """Landmarks and images of a GLDv2 folder.

    Args:
        root: holds `metadata/`, `ground_truth/` and, where fetched, the tars.
        clean: what becomes of train_clean.csv; see `MetadataParams`.

    Returns:
        The tables `categories` and `images`; see `gldv2.read_categories` and `gldv2.read_images`.

    Raises:
        MissingDataError: the folder or one of its files is missing.
        TableError, CorruptInputError: a file is wrong; the message names it, the row, and what to do.
    """
    if clean not in CLEAN:
        raise UsageError("clean is no such word", got=repr(clean), expected=" or ".join(map(repr, CLEAN)))
    if not (root / "metadata").is_dir():
        raise MissingDataError(
            f"{root} has no folder metadata",
            expected="Google Landmarks v2 as it is published: metadata/, ground_truth/, train/, index/, test/",
            do="fetch it with `hierlandmarks fetch`, or set root",
        )
    categories = read_categories(root)
    return {"categories": categories, "images": read_images(root, categories, clean=clean)}


def read_photo_list(files: PhotoList, source: Path) -> dict[str, pa.Table]:
    """Landmarks, types and photos of a photo list; the photos are packed into `source` in GLDv2's layout.

    Returns:
        The tables `categories`, `images`, `types`, `reasons` and `subclasses`.

    Raises:
        MissingDataError: the folder, a CSV or a photo is missing; the message says where it would come from.
        TableError, CorruptInputError: a file is wrong; the message names it, the row, and what to do.
    """
    for name in (files.landmarks, files.photos, files.pictures):
        if not (files.folder / name).exists():
            raise MissingDataError(
                f"{files.folder / name} does not exist",
                expected=f"{files.landmarks}, {files.photos} and {files.pictures}/IMAGE_ID.jpg",
                do="set folder to the project's data folder (data/gldv2 in `shared` beside the checkout), or gather "
                "the photos from the Wikimedia Commons addresses that GLDv2's train.csv lists",
            )
    tables = read_landmarks(files)
    photos = read_photos(files, tables["categories"])
    return {**tables, "images": write_source(source, files, tables["categories"], photos)}


def _metadata(params: MetadataParams, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    return read_metadata(inputs.get("source") or _root(params), clean=params.clean)


def _root(params: MetadataParams) -> Path:
    return params.root or home() / "gldv2"  # where `hierlandmarks fetch` puts it


def _photos(params: PhotoList, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    return read_photo_list(params, folders["source"])


METADATA = Stage(
    name="metadata",
    about="reading the landmarks and images of GLDv2's files",
    params=MetadataParams,
    needs=("source",),
    makes=("categories", "images"),
    run=_metadata,
    reads=lambda params: tuple(_root(params) / name for name in ("metadata", "ground_truth", "train", "index", "test")),
    optional=("source",),
)

PHOTOS = Stage(
    name="photos",
    about="reading a list of landmarks with their types and photos",
    params=PhotoList,
    needs=(),
    makes=("source", "categories", "images", "types", "reasons", "subclasses"),
    run=_photos,
    reads=lambda params: tuple(params.folder / name for name in (params.landmarks, params.photos, params.pictures)),
)
