"""A folder in Google Landmarks v2's own layout as the tables `categories` and `images`.

What the files hold and what is refused in them is `hierlandmarks.official`'s; a few passes over columns: all of GLDv2,
five million images, takes about a minute and 3 GB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks import schema
from hierlandmarks.errors import MissingDataError
from hierlandmarks.images import index_tars
from hierlandmarks.official import LANDMARK_ID, check_ids, lookup, pick_clean, read_index, read_queries, read_train
from hierlandmarks.tableparts import read_csv_in_parts
from hierlandmarks.tables import check_unique, conform
from hierlandmarks.titles import PREFIX, category_title

FOLDER = {"train": "train", "train_clean": "train", "index": "index", "query": "test"}  # of a split's tars


def read_categories(root: Path) -> pa.Table:
    """The landmarks of both spaces with their Commons categories.

    Read from `metadata/SPACE_label_to_category.csv`, else from `SPACE_label_to_hierarchical.csv`, which has the same
    column. Category cells stay as they are written; the name is the title in them, decoded and without its prefix.

    Args:
        root: folder that holds `metadata/`.

    Returns:
        A `schema.CATEGORIES` table.

    Raises:
        MissingDataError: the folder or a file is missing.
        TableError: a missing column, an id that is repeated or no number, an empty file; file and row are named.
    """
    tables = [read_category_file(_category_file(root, space), space) for space in schema.SPACES]
    return conform(pa.concat_tables(tables), schema.CATEGORIES, f"the landmarks of {root}")


def read_category_file(path: Path, space: str) -> pa.Table:
    """One label-to-category CSV (columns landmark_id, category) as a `schema.CATEGORIES` table.

    Args:
        space: whose landmark ids the file uses.

    Raises:
        MissingDataError, TableError: as `read_categories`.
    """
    table = pa.concat_tables(category_parts(path, space))
    check_unique(table, ("landmark_id",), str(path), first_row=2)
    names = [category_title(cell).removeprefix(PREFIX) for cell in table["category"].to_pylist()]
    return conform(table.append_column("name", pa.array(names, pa.string())), schema.CATEGORIES, str(path))


def category_parts(path: Path, space: str) -> Iterator[pa.Table]:
    """As `read_category_file`, some thousand rows at a time, not sorted, without names, and with `row` for messages.

    Raises:
        MissingDataError, TableError: as `read_categories`; a repeated id is for the caller to see.
    """
    for part in read_csv_in_parts(path, ("landmark_id", "category"), filled=("landmark_id",)):
        check_ids(part, "landmark_id", LANDMARK_ID, path)
        yield part.append_column("space", _fill(part, space))


def read_images(root: Path, categories: pa.Table, *, clean: str = "") -> pa.Table:
    """Every image of the splits train, index and query, and of train_clean where asked for.

    Args:
        root: folder that holds `metadata/`, `ground_truth/` and, where fetched, `train/`, `index/` and `test/` with
            their tars.
        categories: the landmarks, as `read_categories` gives them.
        clean: what becomes of train_clean.csv. "": nothing; "split": its images are listed a second time, as the split
            `train_clean`; "only": they alone are the split `train`.

    Returns:
        A `schema.IMAGES` table; `file`, `offset` and `size` are filled where a tar holds the image.

    Raises:
        MissingDataError: a file is missing.
        TableError: as `read_categories`; also an image id that is not 16 hex digits, a landmark of the other space,
            and a ground truth that names images nobody has.
        CorruptInputError: a tar is damaged.
    """
    columns = _columns(root, categories, clean)
    return conform(_sorted(columns, schema.IMAGES.key), schema.IMAGES, f"the images of {root}")


def _columns(root: Path, categories: pa.Table, clean: str) -> dict[str, pa.ChunkedArray]:
    """The columns of the table, not sorted; nothing else holds them, so that they can be given up one by one."""
    train = read_train(root, categories)
    index = read_index(root, categories)
    cleaned = pick_clean(root, train) if clean else train
    tables = {"train": cleaned if clean == "only" else train, "index": index, "query": read_queries(root, index)}
    if clean == "split":
        tables["train_clean"] = cleaned
    places = {folder: index_tars(root, folder) for folder in dict.fromkeys(FOLDER.values())}
    table = pa.concat_tables(_of_split(split, table, places[FOLDER[split]]) for split, table in tables.items())
    return dict(zip(table.column_names, table.columns, strict=True))


def _sorted(columns: dict[str, pa.ChunkedArray], key: Sequence[str]) -> pa.Table:
    """The columns as a sorted table; takes them out of the mapping, so that no column is there twice for long."""
    order = pc.sort_indices(pa.table({name: columns[name] for name in key}), [(name, "ascending") for name in key])
    return pa.table({name: columns.pop(name).take(order) for name in tuple(columns)})


def _of_split(split: str, table: pa.Table, places: pa.Table) -> pa.Table:
    space = "train" if FOLDER[split] == "train" else "index"
    columns = {"split": _fill(table, split), "space": _fill(table, space)}
    for name in ("file", "offset", "size"):
        columns[name] = lookup(table["id"], places, name, "" if name == "file" else None)
    for name in schema.IMAGES.schema.names:
        if name not in columns:
            columns[name] = table[name] if name in table.column_names else _fill(table, "")
    return pa.table(columns).select(schema.IMAGES.schema.names)


def _category_file(root: Path, space: str) -> Path:
    names = [root / "metadata" / f"{space}_label_to_{what}.csv" for what in ("category", "hierarchical")]
    for path in names:
        if path.is_file():
            return path
    raise MissingDataError(
        f"{names[0]} does not exist", do="fetch it with `hierlandmarks fetch`, or give the folder of GLDv2"
    )


def _fill(table: pa.Table, text: str) -> pa.Array:
    return pa.repeat(pa.scalar(text), table.num_rows)
