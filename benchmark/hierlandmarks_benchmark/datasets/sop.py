"""Stanford Online Products (Oh Song et al., arXiv 1511.06452): products below 12 super classes.

``Ebay_train.txt`` and ``Ebay_test.txt``, with a header, list image, class, super class and path; the classes of the
two share no product. Levels: product, category.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from hierlandmarks_benchmark.datasets.public import Listing
from hierlandmarks_benchmark.datasets.reading import read_words

COLUMNS = ("image_id", "class_id", "super_class_id", "path")


def read(folder: Path) -> Listing:
    """The images of a folder such as ``Stanford_Online_Products``; splits `train` and `test`.

    Raises:
        MissingDataError: one of the two files is missing.
        CorruptInputError: a line of them is wrong.
    """
    parts = [
        read_words(folder / f"Ebay_{split}.txt", COLUMNS, "Stanford Online Products", header=True).assign(split=split)
        for split in ("train", "test")
    ]
    rows = pd.concat(parts, ignore_index=True)
    rows["category"] = rows["path"].str.split("/").str[0].str.removesuffix("_final")
    return Listing(rows.rename(columns={"path": "id", "class_id": "product"}), ("product", "category"))
