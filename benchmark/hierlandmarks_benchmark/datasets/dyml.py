"""DyML (Sun et al., Dynamic Metric Learning, CVPR 2021): vehicles, animals and products in three levels.

``train/label.csv`` lists picture, coarse, middle and fine class; pictures lie in ``train/imgs``. In the published files
the header runs into the first row ("fname, coarse_id, middle_id, fine_id0.jpg, 3, ..."); read either way.

* Vehicles and animals are tested apart on each level, with queries and gallery of their own:
  ``bmk_LEVEL/{query,gallery}.csv`` list picture and class, pictures lie in ``bmk_LEVEL/{query,gallery}``. These are
  datasets of one level, ``dyml-vehicle-fine`` and so on; the published figures are means of the three.
* Products are tested on all levels at once, among each other: ``mini-bmk_all_in_one/{label.csv,imgs}``.

The numbers of classes mean something else in every file, so the split stands before them.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd

from hierlandmarks.errors import TableError
from hierlandmarks_benchmark.datasets.public import Listing, Reader
from hierlandmarks_benchmark.datasets.reading import frame_of, read_lines

LEVELS = ("fine", "middle", "coarse")
LABELS = ("fname", "coarse_id", "middle_id", "fine_id")
PRODUCTS = "mini-bmk_all_in_one"


def read_train(folder: Path) -> Listing:
    """The split `train` of vehicles or animals: three levels."""
    return Listing(_labelled(folder, "train", "train"), LEVELS)


def read_products(folder: Path) -> Listing:
    """Products: splits `train` and `test`, three levels."""
    return Listing(pd.concat([_labelled(folder, "train", "train"), _labelled(folder, PRODUCTS, "test")]), LEVELS)


def read_benchmark(folder: Path, level: str) -> Listing:
    """The test of vehicles or animals on one level: splits `query` and `index`."""
    parts = []
    for side, split in (("query", "query"), ("gallery", "index")):
        rows = _read(folder / f"bmk_{level}" / f"{side}.csv", ("fname", "labels"))
        ids = f"bmk_{level}/{side}/" + rows["fname"]
        parts.append(pd.DataFrame({"id": ids, "split": split, level: rows["labels"]}))
    return Listing(pd.concat(parts), (level,))


READERS: dict[str, Reader] = {
    "dyml-vehicle": read_train,
    "dyml-animal": read_train,
    "dyml-product": read_products,
    **{
        f"dyml-{kind}-{level}": partial(read_benchmark, level=level)
        for kind in ("vehicle", "animal")
        for level in LEVELS
    },
}


def _labelled(folder: Path, part: str, split: str) -> pd.DataFrame:
    rows = _read(folder / part / "label.csv", LABELS)
    named = {level: f"{split} " + rows[f"{level}_id"] for level in LEVELS}
    return pd.DataFrame({"id": f"{part}/imgs/" + rows["fname"], "split": split, **named})


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    header = ", ".join(columns)
    lines = read_lines(path, "DyML")
    if not lines or not lines[0].startswith(header):
        raise TableError(f"{path} has another header than DyML", got=repr(lines[0]) if lines else None, expected=header)
    rest = lines[0].removeprefix(header)
    rows = [[cell.strip() for cell in line.split(",")] for line in ([rest] if rest else []) + lines[1:]]
    return frame_of(path, rows, columns, 1 if rest else 2)
