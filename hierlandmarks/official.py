"""Reading Google Landmarks v2's own CSVs and ground truth, checked row by row, as text.

A landmark id is looked up in its own space only; one that is not there is refused, since train and index number their
landmarks independently and a mixed-up join would go unnoticed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks.errors import TableError
from hierlandmarks.imageids import Keys, keys_of
from hierlandmarks.tables import check_unique, read_csv

IMAGE_ID = r"^[0-9a-f]{16}$"
LANDMARK_ID = r"^[0-9]+$"
SCORED = ("Public", "Private")
NOT_SCORED = "Ignored"
CREDITS = ("author", "license", "title")


def read_train(root: Path, categories: pa.Table, *, credits: bool = True) -> pa.Table:
    """The images of `metadata/train.csv`: id, url, landmark_id, and author, license, title.

    Args:
        root: folder that holds `metadata/`.
        categories: the landmarks of both spaces (columns space, landmark_id).
        credits: whether to read train_attribution.csv where it is there; else those three columns are left out.

    Raises:
        MissingDataError: a file is missing.
        TableError: a wrong or repeated id, or a landmark that train does not have; file and row are named.
    """
    path = root / "metadata" / "train.csv"
    train = read_csv(path, ("id", "url", "landmark_id"))
    keys = _image_keys(train, "id", path)
    check_landmarks(train, categories, "train", path, "train_label_to_category.csv")
    attribution = root / "metadata" / "train_attribution.csv"
    if not credits or not attribution.is_file():
        return train
    given = read_csv(attribution, ("id", *CREDITS))
    rows = _positions(keys, _image_keys(given, "id", attribution))
    for name in CREDITS:
        train = train.append_column(name, pc.fill_null(given[name].combine_chunks().take(rows), ""))
    return train


def pick_clean(root: Path, train: pa.Table) -> pa.Table:
    """The rows of train that `metadata/train_clean.csv` lists, in its order.

    Raises:
        MissingDataError: the file is missing.
        TableError: it lists an image twice, or one that train gives another landmark or does not have.
    """
    path = root / "metadata" / "train_clean.csv"
    clean = read_csv(path, ("landmark_id", "images"), key=("landmark_id",))
    listed = _explode(_numbered(clean), "images")
    keys, bad = keys_of(listed["images"])
    known, _ = keys_of(train["id"])
    rows = pa.nulls(listed.num_rows, pa.int64()) if bad is not None else _positions(keys, known)
    same = pc.equal(train["landmark_id"].combine_chunks().take(rows), listed["landmark_id"])
    expected = f"images of the row's landmark in {root / 'metadata' / 'train.csv'}"
    _refuse(pc.fill_null(same, False), listed, "images", path, expected, "use files of one version")
    check_unique(listed.select(["images"]), ("images",), f"the images of {path}")
    return train.take(rows)


def read_index(root: Path, categories: pa.Table) -> pa.Table:
    """The images of `metadata/index.csv`: id and landmark_id, "" for one without: a distractor.

    Raises:
        MissingDataError, TableError: as `read_train`.
    """
    path, map_path = (root / "metadata" / name for name in ("index.csv", "index_image_to_landmark.csv"))
    index, shown = read_csv(path, ("id",)), read_csv(map_path, ("id", "landmark_id"))
    keys, shown_keys = _image_keys(index, "id", path), _image_keys(shown, "id", map_path)
    check_landmarks(shown, categories, "index", map_path, "index_label_to_category.csv")
    _refuse(_positions(shown_keys, keys).is_valid(), shown, "id", map_path, f"an id of {path}")
    own = shown["landmark_id"].combine_chunks().take(_positions(keys, shown_keys))
    return index.append_column("landmark_id", pc.fill_null(own, ""))


def read_queries(root: Path, index: pa.Table) -> pa.Table:
    """The test images that the retrieval ground truth scores: id, landmark_id and usage, Public or Private.

    The other test images, 116 of 117 in GLDv2, belong to no evaluation. The landmark of a query is the one most of its
    relevant index images show (the smallest id on a tie): recognition_solution names train ids, and a query belongs to
    the index space.

    Args:
        index: as `read_index` gives it.

    Raises:
        MissingDataError: a file is missing.
        TableError: an id that test or index does not have, or an unknown Usage; file and row are named.
    """
    path, test_path = root / "ground_truth" / "retrieval_solution_v2.1.csv", root / "metadata" / "test.csv"
    solution, test = read_csv(path, ("id", "images", "Usage"), key=("id",)), read_csv(test_path, ("id",))
    _image_keys(test, "id", test_path)
    _refuse(pc.is_in(solution["id"], value_set=_values(test, "id")), solution, "id", path, f"an id of {test_path}")
    usage = pa.array([*SCORED, NOT_SCORED], pa.string())
    _refuse(pc.is_in(solution["Usage"], value_set=usage), solution, "Usage", path, ", ".join(usage.to_pylist()))
    scored = _numbered(solution).filter(pc.not_equal(solution["Usage"], NOT_SCORED))
    if not scored.num_rows:
        raise TableError(f"{path} scores no image", expected=f"rows with Usage {' or '.join(SCORED)}")
    relevant = _explode(scored, "images")
    known = pc.is_in(relevant["images"], value_set=_values(index, "id"))
    _refuse(known, relevant, "images", path, "ids of index.csv for a scored image")
    shown = relevant.select(["id"]).append_column("landmark_id", lookup(relevant["images"], index, "landmark_id"))
    own = lookup(scored["id"], _most_shown(shown), "landmark_id")
    return pa.table({"id": scored["id"], "landmark_id": own, "usage": scored["Usage"]})


# -- checks --


def check_ids(table: pa.Table, column: str, pattern: str, path: Path) -> None:
    """Refuse a table in which an id has the wrong form, naming the first row.

    Args:
        pattern: IMAGE_ID or LANDMARK_ID.

    Raises:
        TableError: with the row as the reader of the CSV counts it.
    """
    expected = "16 hex digits" if pattern == IMAGE_ID else "a whole number"
    advice = "read and write ids as text, since some look like numbers"
    _refuse(pc.match_substring_regex(table[column], pattern), table, column, path, expected, advice)


def check_landmarks(table: pa.Table, categories: pa.Table, space: str, path: Path, listed_in: str) -> None:
    """Refuse a table that names a landmark which its space does not have.

    Args:
        listed_in: the file that lists the landmarks of the space, for the message.

    Raises:
        TableError: naming row and id, and whether the other space has that id.
    """
    here = pc.equal(categories["space"], space)
    own, other = (categories.filter(rows) for rows in (here, pc.invert(here)))
    row = pc.index(pc.is_in(table["landmark_id"], value_set=_values(own, "landmark_id")), False).as_py()
    if row >= 0:
        landmark_id = table["landmark_id"][row].as_py()
        mixed = pc.index(other["landmark_id"], landmark_id).as_py() >= 0
        raise TableError(
            f"{path} row {row + 2}: there is no {space} landmark {landmark_id}",
            got="an id of the other space" if mixed else None,
            expected=f"an id of {listed_in}",
            do="keep train and index files apart: they number their landmarks independently"
            if mixed
            else "add it there, or remove the row",
        )


def lookup(ids: pa.ChunkedArray, table: pa.Table, column: str, missing: str | None = "") -> pa.ChunkedArray:
    """The value of a column for every id, joined on the table's column `id`; `missing` where the table lacks it."""
    found = table[column].combine_chunks().take(pc.index_in(ids, value_set=_values(table, "id")).combine_chunks())
    return found if missing is None else pc.fill_null(found, missing)


# -- inside --


def _image_keys(table: pa.Table, column: str, path: Path) -> Keys:
    """The ids of a CSV as numbers; a wrong and a repeated one are refused."""
    keys, bad = keys_of(table[column])
    if bad is not None:
        check_ids(table, column, IMAGE_ID, path)
    ordered = np.sort(keys)
    if (ordered[1:] == ordered[:-1]).any():
        check_unique(table, (column,), str(path), first_row=2)
    return keys


def _positions(wanted: Keys, keys: Keys) -> pa.Array:
    """Where each wanted key is among distinct keys, null where it is not."""
    order = np.argsort(keys)
    place = np.minimum(np.searchsorted(keys, wanted, sorter=order), max(0, len(keys) - 1))
    if not len(keys):
        return pa.nulls(len(wanted), pa.int64())
    rows = order[place]
    return pa.array(rows, mask=keys[rows] != wanted)


def _most_shown(shown: pa.Table) -> pa.Table:
    """For every id the landmark it comes with most often, the smallest on a tie; ids without any are left out."""
    counts = shown.filter(pc.not_equal(shown["landmark_id"], "")).group_by(["id", "landmark_id"])
    counts = counts.aggregate([([], "count_all")])
    counts = counts.append_column("number", pc.cast(counts["landmark_id"], pa.int64()))
    order = [("id", "ascending"), ("count_all", "descending"), ("number", "ascending")]
    best = counts.sort_by(order).group_by("id", use_threads=False).aggregate([("landmark_id", "first")])
    return best.rename_columns({"id": "id", "landmark_id_first": "landmark_id"})


def _refuse(
    fine: pa.ChunkedArray, table: pa.Table, column: str, path: Path, expected: str, advice: str | None = None
) -> None:
    """Refuse the first row that is not fine, by its number in the CSV."""
    bad = pc.index(fine, False).as_py()
    if bad >= 0:
        row = table["row"][bad].as_py() if "row" in table.column_names else bad + 2
        value = repr(table[column][bad].as_py())
        raise TableError(f"{path} row {row}: {column} is wrong", got=value, expected=expected, do=advice)


def _numbered(table: pa.Table) -> pa.Table:
    """The table with a column `row`: where each row stands in its CSV, whose header is row 1."""
    return table.append_column("row", pa.array(range(2, table.num_rows + 2), pa.int64()))


def _explode(table: pa.Table, column: str) -> pa.Table:
    """One row for every word of a column; the other cells are repeated."""
    words = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(table[column])).combine_chunks()
    others = table.drop_columns([column]).take(pc.list_parent_indices(words))
    return others.append_column(column, pc.list_flatten(words))


def _values(table: pa.Table, column: str) -> pa.Array:
    return table[column].combine_chunks()
