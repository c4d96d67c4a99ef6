"""Which image is in which split of a release: validation set aside, unlabelled left out, leaks refused.

Landmarks, never single images, move from train to validation, and a landmark is a leaf of the hierarchy: two train ids
made from the same Commons category move together. A label with one landmark stays in train.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks.errors import CorruptInputError, TableError, UsageError
from hierlandmarks.schema import SPLITS

SPACE_OF = {"train": "train", "train_clean": "train", "validation": "train", "index": "index", "query": "index"}
BLOCK = 1 << 19  # rows
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """The rows of one split, taken out of the table of all rows only where they are asked for.

    Attributes:
        rows: every image once a split it is in (`schema.RELEASE` without `image`), repeated text as dictionaries.
        positions: of this split's rows, ascending.
        split: its name, which is the rows' own but for those moved to validation.
    """

    rows: pa.Table
    positions: Ints
    split: str

    def __len__(self) -> int:
        return len(self.positions)

    def table(self, columns: Sequence[str] | None = None, start: int = 0, length: int | None = None) -> pa.Table:
        """The rows from `start` on, all or `length` of them, as plain columns."""
        wanted = self.positions[start:] if length is None else self.positions[start : start + length]
        rows = self.rows if columns is None else self.rows.select(list(columns))
        if len(wanted):
            first = int(wanted[0])
            rows = rows.slice(first, int(wanted[-1]) + 1 - first).take(pa.array(wanted - first))
        else:
            rows = rows.slice(0, 0)
        found = {name: _plain(rows[name]) for name in rows.column_names}
        if "split" in found:
            found["split"] = pa.repeat(pa.scalar(self.split), len(wanted))
        return pa.table(found)

    def blocks(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """These columns of all rows, so many at a time that memory stays flat."""
        for start in range(0, len(self), BLOCK):
            yield self.table(columns, start, BLOCK)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def check_spaces(images: pa.Table) -> None:
    """Refuse an image whose split and id space disagree: index 0 is a park, train 0 a racecourse.

    Raises:
        TableError: an unknown split.
        CorruptInputError: a landmark of the other space; the message names the image.
    """
    place = pc.index_in(images["split"], value_set=pa.array(SPACE_OF))
    if place.null_count:
        row = pc.index(place.is_null(), True).as_py()
        found = repr(images["split"][row].as_py())
        raise TableError(f"images row {row + 1}: split is wrong", got=found, expected=", ".join(SPLITS))
    expected = pa.chunked_array([pa.array(SPACE_OF.values()).take(chunk) for chunk in place.chunks], pa.string())
    row = pc.index(pc.equal(expected, images["space"]), False).as_py()
    if row >= 0:
        raise CorruptInputError(
            f"image {images['id'][row]} of the split {images['split'][row]} has a landmark of another id space",
            got=images["space"][row],
            expected=expected[row],
            do="never give train images labels of index landmarks, or the other way round",
        )


def split_rows(
    rows: pa.Table, *, validation: float, labelled_only: bool, seed: int
) -> tuple[dict[str, Part], dict[str, dict[str, int]]]:
    """Cut the rows of a release (schema.RELEASE, codes filled in) into its splits.

    Args:
        rows: every image once a split it is in.
        validation: share of the train landmarks to set aside, 0 <= share < 1.
        labelled_only: leave images without a label out of train, train_clean and validation. Index and query keep
            theirs: there they are distractors, part of the task.
        seed: of the choice.

    Returns:
        Parts by split, in the order of `schema.SPLITS`, empty ones left out; and what was left out, by split: `images`
        and `landmarks`.

    Raises:
        UsageError: a share out of range, or validation asked for where the images have one already.
        CorruptInputError: a landmark is in both train and validation.
    """
    if not 0 <= validation < 1:
        raise UsageError("validation is a share of the landmarks", got=validation, expected="0 or more, below 1")
    split = pc.index_in(rows["split"], value_set=pa.array(SPLITS)).to_numpy()
    train, clean, aside = (SPLITS.index(name) for name in ("train", "train_clean", "validation"))
    if validation and (split == aside).any():
        raise UsageError("the images have a validation split already", do="export with validation: 0")
    in_train = np.isin(split, [train, clean, aside])
    dropped = in_train & (rows["label"].to_numpy() < 0) & labelled_only
    group = _groups(rows)
    target = np.where(dropped, -1, split)
    if validation:
        moved = in_train & ~dropped & np.isin(group, _chosen(rows, group, in_train & ~dropped, validation, seed))
        target[moved & (split == train)] = aside
        target[moved & (split == clean)] = -1  # the same images come with train
    _refuse_leaks(target, group, rows)
    found = {name: Part(rows, np.flatnonzero(target == number), name) for number, name in enumerate(SPLITS)}
    left_out = {name: _count(group, dropped & (split == number)) for number, name in enumerate(SPLITS)}
    return (
        {name: part for name, part in found.items() if len(part)},
        {name: counts for name, counts in left_out.items() if counts["images"]},
    )


def _groups(rows: pa.Table) -> Ints:
    """A number for each landmark: its leaf, or where it has none a number of its own, below zero."""
    groups: Ints = rows["landmark"].to_numpy().copy()
    blank = np.flatnonzero(groups < 0)
    if len(blank):
        others = rows.select(["space", "landmark_id"]).filter(pc.less(rows["landmark"], 0))
        own = pc.binary_join_element_wise(_plain(others["space"]), _plain(others["landmark_id"]), "\0")
        groups[blank] = -1 - own.combine_chunks().dictionary_encode().indices.to_numpy()
    return groups


def _chosen(rows: pa.Table, group: Ints, usable: Bools, share: float, seed: int) -> Ints:
    """Groups to set aside: of each label its share, rounded up or down by chance, and at least one group left in train.

    Chance is a hash of the seed and of the landmark's or label's name, so a new landmark changes only its own label.
    """
    names = ["hierarchical_label", "space", "landmark_id", "group"]
    keys = Part(rows.select(names[:3]).append_column("group", pa.array(group)), np.flatnonzero(usable), "")
    found = [block.group_by(names).aggregate([]) for block in keys.blocks(names)]
    frame = (pa.concat_tables(found).group_by(names).aggregate([]) if found else keys.table(names)).to_pandas()
    frame = frame.sort_values(["space", "landmark_id"]).drop_duplicates("group")  # by its first id
    ids = (frame["space"] + " " + frame["landmark_id"]).tolist()
    frame = frame.assign(order=[_chance(f"{seed} {name}") for name in ids]).sort_values("order", kind="stable")
    sizes = frame["hierarchical_label"].value_counts()
    quotas = {label: min(int(share * size + _chance(f"{seed} {label}")), size - 1) for label, size in sizes.items()}
    quota = frame["hierarchical_label"].map(quotas).astype(np.int64)
    first = frame.groupby("hierarchical_label").cumcount() < quota
    chosen: Ints = frame.loc[first, "group"].to_numpy(dtype=np.int64)
    return chosen


def _chance(text: str) -> float:
    """A number in [0, 1) that the text alone decides, on every machine and in every version."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big") / 2**48


def _refuse_leaks(target: Ints, group: Ints, rows: pa.Table) -> None:
    aside = target == SPLITS.index("validation")
    in_train = np.isin(target, [SPLITS.index("train"), SPLITS.index("train_clean")])
    leaked: Ints = np.intersect1d(group[in_train], group[aside] if aside.any() else group[:0])
    if len(leaked):
        row = int(np.argmax((group == leaked[0]) & aside))
        raise CorruptInputError(
            f"the landmark of image {rows['id'][row]} ({rows['name'][row]}) is in both train and validation",
            do="give all its images one of the two splits",
        )


def _count(group: Ints, chosen: Bools) -> dict[str, int]:
    return {"images": int(chosen.sum()), "landmarks": len(np.unique(group[chosen]))}
