"""iNaturalist 2018 (Van Horn et al., arXiv 1707.06642): species in seven levels up to the kingdom.

``train2018.json`` holds images, annotations and categories with their taxonomy (or ``categories.json`` beside it).
With the lists of Brown et al., arXiv 2007.12163, in ``Inat_dataset_splits/Inaturalist_{train,test}_set1.txt`` the
splits are theirs, of different species; without them `test` is ``val2018.json``, of the same species as `train`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from hierlandmarks.errors import MissingDataError, TableError
from hierlandmarks.tables import read_json
from hierlandmarks_benchmark.datasets.public import Listing
from hierlandmarks_benchmark.datasets.reading import read_lines

LAYOUT = "iNaturalist 2018"
LEVELS = ("species", "genus", "family", "order", "class", "phylum", "kingdom")
SPLITS = Path("Inat_dataset_splits")


def read(folder: Path) -> Listing:
    """The images of a folder that holds ``train_val2018/``; splits `train` and `test`.

    Raises:
        MissingDataError: a file is missing.
        CorruptInputError: a file is no such JSON, or an image has no category with a taxonomy.
    """
    content = _annotations(folder, "train2018.json")
    taxonomy = _taxonomy(folder, content)
    if (folder / SPLITS).is_dir():
        parts = [_listed(folder, split) for split in ("train", "test")]
    else:
        parts = [_annotated(content, "train"), _annotated(_annotations(folder, "val2018.json"), "test")]
    rows = pd.concat(parts, ignore_index=True)
    unknown = rows[~rows["category"].isin(taxonomy["category"])]
    if len(unknown):
        raise TableError(f"the image {unknown['id'].iloc[0]} has an unknown category", got=unknown["category"].iloc[0])
    return Listing(rows.merge(taxonomy, "left", "category"), LEVELS)


def _annotations(folder: Path, name: str) -> dict[str, Any]:
    if not (folder / name).is_file():
        raise MissingDataError(f"{folder} is no folder of {LAYOUT}: it has no {name}", do="check the folder")
    content = read_json(folder / name)
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= set(content):
        raise TableError(
            f"{folder / name} is no annotation file of {LAYOUT}", expected="images, annotations, categories"
        )
    return content


def _taxonomy(folder: Path, content: dict[str, Any]) -> pd.DataFrame:
    """One row a category: its number as text, and the seven levels."""
    beside = folder / "categories.json"
    listed = read_json(beside) if beside.is_file() else content["categories"]
    rows = pd.DataFrame(listed)
    lacking = {"id", "name", *LEVELS[1:]} - set(rows.columns)
    if lacking or rows.empty:
        raise TableError(
            f"the categories of {folder} have no taxonomy",
            got=f"no {min(lacking)}" if lacking else "no categories",
            expected=", ".join(LEVELS[1:]),
            do="put the published categories.json beside train2018.json",
        )
    twice = rows["name"].duplicated(keep=False)
    rows["species"] = rows["name"].where(~twice, rows["name"] + " #" + rows["id"].astype(str))
    rows["category"] = rows["id"].astype(str)
    return rows[["category", *LEVELS]].astype(str)


def _listed(folder: Path, split: str) -> pd.DataFrame:
    """Paths such as ``train_val2018/Aves/3000/ID.jpg``; the folder above the picture is its category."""
    path = folder / SPLITS / f"Inaturalist_{split}_set1.txt"
    lines = read_lines(path, LAYOUT)
    parts = [line.strip().split("/") for line in lines]
    if wrong := [number for number, part in enumerate(parts, start=1) if len(part) < 2 or not part[-2].isdigit()]:
        raise TableError(
            f"{path} line {wrong[0]} is wrong", got=repr(lines[wrong[0] - 1]), expected=".../CATEGORY/ID.jpg"
        )
    ids, categories = ["/".join(part) for part in parts], [part[-2] for part in parts]
    return pd.DataFrame({"id": ids, "category": categories, "split": split}, dtype=str)


def _annotated(content: dict[str, Any], split: str) -> pd.DataFrame:
    try:
        files = {image["id"]: image["file_name"] for image in content["images"]}
        pairs = [(files[note["image_id"]], str(note["category_id"])) for note in content["annotations"]]
    except (KeyError, TypeError) as error:
        raise TableError(f"the annotations of {split} do not fit their images", got=f"no {error}") from error
    return pd.DataFrame(pairs, columns=["id", "category"], dtype=str).assign(split=split)
