"""A folder of Google Landmarks v2's own files as a dataset, without a release: splits, labels, tree.

train and train_clean hold the images whose landmark has a label, as the field uses them: of the official files,
train_clean is 970,981 images of 46,593 landmarks with 78 labels. index and query keep all: what has no label there is
a distractor. A landmark of train is a leaf of its own; one of index is the same leaf where the category and the label
are the same, so that no label ever crosses from one space to the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks.conditions import Condition, holds
from hierlandmarks.errors import MissingDataError
from hierlandmarks.hierarchy import Hierarchy
from hierlandmarks.images import index_tars
from hierlandmarks.official import CREDITS, LANDMARK_ID, check_ids, pick_clean, read_index, read_queries, read_train
from hierlandmarks.officialcounts import Counts
from hierlandmarks.places import FOLDER
from hierlandmarks.schema import HIERARCHICAL_CSV, LEVELS, NODES, RELEASE, SPACES
from hierlandmarks.shards import PLACE
from hierlandmarks.tables import content_hash, read_csv
from hierlandmarks.titles import PREFIX, category_title

NEEDS = {  # the file that tells whether a split is there
    "train": "metadata/train.csv",
    "train_clean": "metadata/train_clean.csv",
    "index": "metadata/index.csv",
    "query": "ground_truth/retrieval_solution_v2.1.csv",
}
WRITTEN = "metadata/train_label_to_hierarchical.csv"


class OfficialFolder:
    """GLDv2's files under a root, read when they are asked for.

    Args:
        root: holds `metadata/`, `ground_truth/` and, where fetched, the tars or the pictures out of them.
        named: whether the whole dataset was asked for by its name, so that nothing less will do.
    """

    def __init__(self, root: str | os.PathLike[str], named: bool = False) -> None:
        self.root, self._named = Path(root), named
        self._counts = Counts.of(self.root, named)
        self.name, self.version = self._counts.known.name, self._counts.known.version
        self.splits = tuple(split for split, path in NEEDS.items() if (self.root / path).is_file())

    @staticmethod
    def is_one(folder: Path) -> bool:
        """Whether a folder holds files under GLDv2's names."""
        return (folder / WRITTEN).is_file() or (folder / NEEDS["train"]).is_file()

    def __reduce__(self) -> tuple[Any, ...]:
        return OfficialFolder, (self.root, self._named)

    def content_hash(self, split: str | None) -> str:
        """A hash of the rows; reads all of them."""
        return content_hash(self.rows(split, RELEASE.schema.names).table(RELEASE.schema.names[:-1]))

    def hierarchy(self) -> Hierarchy:
        """The tree of kinds, labels and landmarks of both spaces; codes count in the order of the ids."""
        return self._hierarchy

    def rows(self, split: str | None, columns: Sequence[str]) -> OfficialRows:
        """The images of a split (None: of all), sorted by id, with what the files say of their landmarks.

        Args:
            columns: author, license and title are read when one of them is first wanted, here or later.

        Raises:
            MissingDataError: a file is missing.
            TableError: a file is wrong; the message names it and the row.
            CorruptInputError: a file or split has not as many rows, landmarks or labels as it should.
            HierarchyError: a label is of two kinds, or of none.
        """
        return OfficialRows(self.root, partial(self._table, split), columns)

    # -- inside --

    def _table(self, split: str | None, credits: bool) -> pa.Table:
        parts = [self._split(name, credits) for name in (self.splits if split is None else (split,))]
        return pa.concat_tables(parts, promote_options="none")

    def _split(self, split: str, credits: bool) -> pa.Table:
        space = "index" if split in FOLDER else "train"
        landmarks = self._landmarks
        if space == "train":
            images = read_train(self.root, landmarks, credits=credits)
            self._counts.check_file(NEEDS["train"], images.num_rows)
            images = pick_clean(self.root, images) if split == "train_clean" else images
        else:
            images = read_index(self.root, landmarks)
            self._counts.check_file(NEEDS["index"], images.num_rows)
            images = read_queries(self.root, images) if split == "query" else images
        own = np.flatnonzero(pc.equal(landmarks["space"], space).to_numpy())
        known = landmarks["landmark_id"].combine_chunks().take(pa.array(own))
        places = pc.index_in(images["landmark_id"], value_set=known).to_numpy()
        places = np.where(
            np.isnan(places), len(landmarks), np.append(own, -1)[np.nan_to_num(places, nan=-1).astype(int)]
        )
        order = pc.sort_indices(images["id"]).to_numpy()
        if space == "train":
            order = order[self._codes[places[order], 1] >= 0]
        images, rows = images.take(pa.array(order)), pa.array(places[order], pa.int32())
        fixed = {"split": split, "space": space}
        columns: dict[str, Any] = {}
        for field in RELEASE.schema:
            if field.name in LEVELS:
                columns[field.name] = pa.array(self._codes[rows.to_numpy(), LEVELS.index(field.name)])
            elif field.name in fixed:
                columns[field.name] = pa.repeat(pa.scalar(fixed[field.name]), len(rows))
            elif field.name in images.column_names:
                columns[field.name] = images[field.name]
            elif field.name in landmarks.column_names:
                columns[field.name] = pa.concat_arrays([*landmarks[field.name].chunks, pa.array([""])]).take(rows)
            else:
                blank = pa.scalar("" if field.type == pa.string() else None, field.type)
                columns[field.name] = pa.repeat(blank, len(rows))
        table = pa.table(columns)
        self._counts.check_split(split, table)
        return table

    @cached_property
    def _landmarks(self) -> pa.Table:
        """Landmark columns of `schema.RELEASE` for both spaces, and the leaf each landmark is, "" for none."""
        parts = [self._read_labels(space) for space in SPACES]
        frame = pd.concat([part for part in parts if part is not None], ignore_index=True)
        placed = frame["hierarchical_label"] != ""
        titles = [category_title(cell).removeprefix(PREFIX) for cell in frame["category"].where(placed, "")]
        frame["name"] = titles
        own = frame["space"] + ":" + frame["landmark_id"]
        first = (frame["name"] != "") & ~frame.duplicated(["space", "name"])
        leaf = ("commons:" + frame["name"]).where(first, own)
        labels = frame["hierarchical_label"].where(frame["space"] == "train").groupby(leaf).transform("first")
        leaf = leaf.where(labels.isna() | (labels == frame["hierarchical_label"]), own)
        frame["leaf"] = leaf.where(placed, "")
        frame["label_source"] = np.where(placed, "official", "none")
        return pa.Table.from_pandas(frame, preserve_index=False).cast(
            pa.schema([(name, pa.string()) for name in frame.columns])
        )

    def _read_labels(self, space: str) -> pd.DataFrame | None:
        path = self.root / "metadata" / f"{space}_label_to_hierarchical.csv"
        if not path.is_file():
            if not {"train": {"train", "train_clean"}, "index": {"index", "query"}}[space] & {*self.splits}:
                return None
            raise MissingDataError(f"{path} does not exist", do="fetch it with `hierlandmarks fetch metadata`")
        needed = [name for name in HIERARCHICAL_CSV if name not in ("category", "supercategory")]
        table = read_csv(path, needed, key=("landmark_id",), optional=("category", "supercategory"))
        check_ids(table, "landmark_id", LANDMARK_ID, path)
        self._counts.check_file(path.relative_to(self.root).as_posix(), table.num_rows)
        frame: pd.DataFrame = table.rename_columns({"supercategory": "type"}).to_pandas()
        return frame.assign(space=space)

    @cached_property
    def _hierarchy(self) -> Hierarchy:
        landmarks = self._landmarks.to_pandas()
        landmarks = landmarks[landmarks["leaf"] != ""]
        label, kind = ("label:" + landmarks["hierarchical_label"]), landmarks["natural_or_human_made"]
        levels = {
            "kind": pd.DataFrame({"node_id": kind, "parent_id": "root", "name": kind}),
            "label": pd.DataFrame({"node_id": label, "parent_id": kind, "name": landmarks["hierarchical_label"]}),
            "landmark": pd.DataFrame({"node_id": landmarks["leaf"], "parent_id": label, "name": landmarks["name"]}),
        }
        nodes = [pd.DataFrame({"node_id": ["root"], "parent_id": "", "level": "root", "name": "root", "code": 0})]
        for level, pairs in levels.items():
            found = pairs.drop_duplicates(["node_id", "parent_id"]).sort_values("node_id")
            nodes.append(found.assign(level=level, code=np.arange(len(found))))
        table = pa.Table.from_pandas(pd.concat(nodes)[NODES.schema.names], preserve_index=False)
        return Hierarchy.from_table(table, f"the labels of {self.root}")

    @cached_property
    def _codes(self) -> Any:
        """Codes of every landmark, with a last row of -1 for none."""
        codes = self._hierarchy.label_array(self._landmarks["leaf"])
        return np.vstack([codes, np.full((1, len(LEVELS)), -1)])


class OfficialRows:
    """The rows of one or all splits, in memory; the counterpart of `shards.Shards`.

    Args:
        folder: that `file` is relative to.
        read: gives the rows, with authors, licences and titles or with empty cells in their place.
        columns: which are wanted first.
    """

    pictures = False

    def __init__(self, folder: Path, read: Callable[[bool], pa.Table], columns: Sequence[str]) -> None:
        self.folder, self._read = folder, read
        self._credits = not {*CREDITS}.isdisjoint(columns)
        self._rows = read(self._credits)

    def _having(self, columns: Iterable[str]) -> pa.Table:
        """The rows with all that is to be said in these columns."""
        if not self._credits and not {*CREDITS}.isdisjoint(columns):
            self._rows, self._credits = self._read(True), True
        return self._rows

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    def table(self, columns: Sequence[str]) -> pa.Table:
        """The named columns of all rows."""
        return self._having(columns).select(list(columns))

    def places(self) -> pa.Table:
        """Where each row's picture lies in the tars, which are indexed for it: id, split, file, offset, size."""
        found = self._rows.select(["id", "split"])
        folders = {FOLDER.get(split, "train") for split in found["split"].unique().to_pylist()}
        tars = pa.concat_tables([index_tars(self.folder, folder) for folder in sorted(folders)])
        rows = pc.index_in(found["id"], value_set=tars["id"].combine_chunks())
        return (
            found.append_column("file", pc.fill_null(tars["file"].take(rows), ""))
            .append_column("offset", tars["offset"].take(rows))
            .append_column("size", tars["size"].take(rows))
            .select(PLACE)
        )

    def picture(self, row: int) -> None:
        """None: the files carry no pictures."""

    def batches(
        self, columns: Sequence[str], part: int = 0, parts: int = 1, wanted: Sequence[Condition] = ()
    ) -> Iterator[pa.RecordBatch]:
        """The rows in batches; `parts` shares of them, and only those for which the conditions hold."""
        rows = self._having([*columns, *(one.column for one in wanted)])
        rows = rows.filter(holds(rows, wanted)) if wanted else rows
        for number, batch in enumerate(rows.select(list(columns)).to_batches(max_chunksize=1 << 14)):
            if number % parts == part:
                yield batch
