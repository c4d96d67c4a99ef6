"""CUB-200-2011 (Wah et al., Caltech 2011): 200 birds; the first 100 classes to train on, the others to test.

``images.txt`` and ``image_class_labels.txt`` list images and classes, ``classes.txt`` names these. Levels: species,
family, order, from `birds.yaml`; or those of a ``hierarchy.csv`` in the folder: the column `class` (1 to 200), then
label columns from fine to coarse, such as genus and family.

The families are those of the table published with Chang et al., arXiv 2011.09040, and used by the papers, but for the
Red-legged Kittiwake, a gull that stands there in a family of its own beside the kingfishers: 37 families instead of 38.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pandas as pd
import yaml

from hierlandmarks.errors import TableError
from hierlandmarks.tables import read_csv
from hierlandmarks_benchmark.datasets.public import Listing
from hierlandmarks_benchmark.datasets.reading import read_words

LAYOUT = "CUB-200-2011"
TRAINED = 100  # classes 1 to 100


def read(folder: Path) -> Listing:
    """The images of a folder such as ``CUB_200_2011``; splits `train` and `test`.

    Raises:
        MissingDataError: one of the files is missing.
        CorruptInputError: a line of them is wrong, or a class is not in the hierarchy.
    """
    classes = read_words(folder / "classes.txt", ("class", "species"), LAYOUT)
    images = read_words(folder / "images.txt", ("image", "path"), LAYOUT)
    labels = read_words(folder / "image_class_labels.txt", ("image", "class"), LAYOUT)
    rows = images.merge(labels, "inner", "image").merge(classes, "inner", "class")
    if len(rows) != len(images):
        lost = images[~images["image"].isin(rows["image"])].iloc[0]
        raise TableError(f"{folder}: the image {lost['path']} has no class", expected="one in image_class_labels.txt")
    above = _given(folder / "hierarchy.csv") if (folder / "hierarchy.csv").is_file() else _usual()
    unknown = rows[~rows["class"].isin(above["class"])]
    if len(unknown):
        raise TableError(f"the class {unknown['class'].iloc[0]} of {folder} is not in the hierarchy")
    rows = rows.merge(above, "left", "class")
    rows["id"] = "images/" + rows["path"]
    rows["split"] = (rows["class"].astype(int) <= TRAINED).map({True: "train", False: "test"})
    return Listing(rows, ("species", *above.columns[1:]))


def _usual() -> pd.DataFrame:
    orders = yaml.safe_load(files(__package__).joinpath("birds.yaml").read_text(encoding="utf-8"))
    rows = [
        (str(number), family, order)
        for order, families in orders.items()
        for family, ranges in families.items()
        for first, last in ranges
        for number in range(first, last + 1)
    ]
    return pd.DataFrame(rows, columns=["class", "family", "order"])


def _given(path: Path) -> pd.DataFrame:
    table = read_csv(path, ("class",), key=("class",))
    names = [name for name in _header(path) if name not in ("class", "species")]
    table = read_csv(path, ("class", *names), key=("class",))
    found: pd.DataFrame = table.to_pandas()
    return found


def _header(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8-sig").splitlines()[0].strip().split(",")
