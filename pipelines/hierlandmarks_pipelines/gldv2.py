"""Reading a folder in Google Landmarks v2's own layout: its CSVs, its ground truth, and where its tars hold each image.

Everything is read as text and joined by Arrow, a few passes over columns: all of GLDv2, five million images, takes
about a minute and 3 GB. A landmark id is looked up in its own space only; one that is not there is refused, since
train and index number their landmarks independently and a mixed-up join would go unnoticed.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks import schema
from hierlandmarks.errors import MissingDataError, TableError
from hierlandmarks.images import index_tar
from hierlandmarks.progress import track
from hierlandmarks.tables import check_unique, conform, read_csv
from hierlandmarks_pipelines.wikimedia.titles import PREFIX, category_title

IMAGE_ID = r"^[0-9a-f]{16}$"
LANDMARK_ID = r"^[0-9]+$"
SCORED = ("Public", "Private")
NOT_SCORED = "Ignored"


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
    table = read_csv(path, ("landmark_id", "category"), key=("landmark_id",))
    check_ids(table, "landmark_id", LANDMARK_ID, path)
    names = [category_title(cell).removeprefix(PREFIX) for cell in table["category"].to_pylist()]
    table = table.append_column("name", pa.array(names, pa.string())).append_column("space", _fill(table, space))
    return conform(table, schema.CATEGORIES, str(path))


def read_images(root: Path, categories: pa.Table, *, clean_only: bool = False) -> pa.Table:
    """Every image of the splits train, index and query.

    The split `query` is the scored part (Public or Private) of the retrieval ground truth; the other test images,
    117 of 118 in GLDv2, belong to no evaluation and are left out. The landmark of a query is the one most of its
    relevant index images show (the smallest id on a tie): recognition_solution names train ids, and a query belongs to
    the index space. An index image that index_image_to_landmark.csv does not name has no landmark: a distractor.

    Args:
        root: folder that holds `metadata/`, `ground_truth/` and, where fetched, `train/`, `index/` and `test/` with
            their tars.
        categories: the landmarks, as `read_categories` gives them.
        clean_only: take as the split `train` only what train_clean.csv lists, the usual training set. An image is
            never listed twice: the clean ones are rows of `train` like the others.

    Returns:
        A `schema.IMAGES` table; `file`, `offset` and `size` are filled where a tar holds the image.

    Raises:
        MissingDataError: a file is missing.
        TableError: as `read_categories`; also an image id that is not 16 hex digits, a landmark of the other space,
            and a ground truth that names images nobody has.
        CorruptInputError: a tar is damaged.
    """
    train = _read_train(root, categories, clean_only)
    index = _read_index(root, categories)
    query = _read_queries(root, index)
    parts = []
    for split, folder, table in (("train", "train", train), ("index", "index", index), ("query", "test", query)):
        space = "train" if split == "train" else "index"
        columns = {"split": _fill(table, split), "space": _fill(table, space), **_places(root, folder, table["id"])}
        for name in ("url", "author", "license", "title"):
            columns[name] = table[name] if name in table.column_names else _fill(table, "")
        parts.append(pa.table({"id": table["id"], "landmark_id": table["landmark_id"], **columns}))
    images = pa.concat_tables(part.select(schema.IMAGES.schema.names) for part in parts)
    return conform(images, schema.IMAGES, f"the images of {root}")


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


def _category_file(root: Path, space: str) -> Path:
    names = [root / "metadata" / f"{space}_label_to_{what}.csv" for what in ("category", "hierarchical")]
    for path in names:
        if path.is_file():
            return path
    raise MissingDataError(
        f"{names[0]} does not exist", do="fetch it with `hierlandmarks fetch`, or give the folder of GLDv2"
    )


def _read_train(root: Path, categories: pa.Table, clean_only: bool) -> pa.Table:
    path = root / "metadata" / "train.csv"
    train = read_csv(path, ("id", "url", "landmark_id"), key=("id",))
    check_ids(train, "id", IMAGE_ID, path)
    check_landmarks(train, categories, "train", path, "train_label_to_category.csv")
    if clean_only:
        train = _clean(root / "metadata" / "train_clean.csv", train, path)
    attribution = root / "metadata" / "train_attribution.csv"
    if attribution.is_file():
        given = read_csv(attribution, ("id", "author", "license", "title"), key=("id",))
        for name in ("author", "license", "title"):
            train = train.append_column(name, lookup(train["id"], given, name))
    return train


def _clean(path: Path, train: pa.Table, train_path: Path) -> pa.Table:
    """The rows of train that train_clean.csv lists."""
    clean = read_csv(path, ("landmark_id", "images"), key=("landmark_id",))
    listed = _explode(_numbered(clean), "images")
    place = pc.index_in(listed["images"], value_set=_values(train, "id"))
    same = pc.equal(train["landmark_id"].take(place), listed["landmark_id"])
    expected = f"images of the row's landmark in {train_path}"
    _refuse(pc.fill_null(same, False), listed, "images", path, expected, "use files of one version")
    check_unique(listed.select(["images"]), ("images",), f"the images of {path}")
    return train.take(place)


def _read_index(root: Path, categories: pa.Table) -> pa.Table:
    path, map_path = (root / "metadata" / name for name in ("index.csv", "index_image_to_landmark.csv"))
    index = read_csv(path, ("id",), key=("id",))
    check_ids(index, "id", IMAGE_ID, path)
    shown = read_csv(map_path, ("id", "landmark_id"), key=("id",))
    check_landmarks(shown, categories, "index", map_path, "index_label_to_category.csv")
    _refuse(pc.is_in(shown["id"], value_set=_values(index, "id")), shown, "id", map_path, f"an id of {path}")
    return index.append_column("landmark_id", lookup(index["id"], shown, "landmark_id"))


def _read_queries(root: Path, index: pa.Table) -> pa.Table:
    path, test_path = root / "ground_truth" / "retrieval_solution_v2.1.csv", root / "metadata" / "test.csv"
    solution, test = read_csv(path, ("id", "images", "Usage"), key=("id",)), read_csv(test_path, ("id",), key=("id",))
    check_ids(test, "id", IMAGE_ID, test_path)
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
    return scored.select(["id"]).append_column("landmark_id", lookup(scored["id"], _most_shown(shown), "landmark_id"))


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


def _places(root: Path, folder: str, ids: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
    """Columns file, offset and size: which tar holds each image, and where."""
    paths = sorted((root / folder).glob("images_*.tar"))
    found = []
    for path in track(paths, f"indexing {folder}", unit="tar"):
        table = index_tar(path)
        found.append(table.append_column("file", _fill(table, f"{folder}/{path.name}")))
    names = ["id", "offset", "size", "file"]
    empty = pa.table({name: pa.array([], pa.int64() if name in ("offset", "size") else pa.string()) for name in names})
    places = pa.concat_tables([empty, *(table.select(names) for table in found)])
    return {
        "file": lookup(ids, places, "file"),
        "offset": lookup(ids, places, "offset", None),
        "size": lookup(ids, places, "size", None),
    }


def lookup(ids: pa.ChunkedArray, table: pa.Table, column: str, missing: str | None = "") -> pa.ChunkedArray:
    """The value of a column for every id, joined on the table's column `id`; `missing` where the table lacks it."""
    found = table[column].take(pc.index_in(ids, value_set=_values(table, "id")))
    return found if missing is None else pc.fill_null(found, missing)


def _values(table: pa.Table, column: str) -> pa.Array:
    return table[column].combine_chunks()


def _fill(table: pa.Table, text: str) -> pa.Array:
    return pa.repeat(pa.scalar(text), table.num_rows)
