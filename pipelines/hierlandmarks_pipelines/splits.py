"""Which image is in which split of a release: validation set aside, unlabelled left out, leaks refused.

Landmarks, never single images, move from train to validation, and a landmark is a leaf of the hierarchy: two train ids
made from the same Commons category move together. A label with one landmark stays in train.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks.errors import CorruptInputError, TableError, UsageError
from hierlandmarks.schema import SPLITS

SPACE_OF = {"train": "train", "train_clean": "train", "validation": "train", "index": "index", "query": "index"}


def check_spaces(images: pa.Table) -> None:
    """Refuse an image whose split and id space disagree: index 0 is a park, train 0 a racecourse.

    Raises:
        TableError: an unknown split.
        CorruptInputError: a landmark of the other space; the message names the image.
    """
    split, space = (images[name].to_pandas() for name in ("split", "space"))
    expected = split.map(SPACE_OF)
    if expected.isna().any():
        row = int(np.argmax(expected.isna().to_numpy()))
        raise TableError(f"images row {row + 1}: split is wrong", got=repr(split[row]), expected=", ".join(SPLITS))
    wrong = (expected != space).to_numpy()
    if wrong.any():
        row = int(np.argmax(wrong))
        raise CorruptInputError(
            f"image {images['id'][row]} of the split {split[row]} has a landmark of another id space",
            got=space[row],
            expected=expected[row],
            do="never give train images labels of index landmarks, or the other way round",
        )


def split_rows(
    rows: pa.Table, *, validation: float, labelled_only: bool, seed: int
) -> tuple[dict[str, pa.Table], dict[str, dict[str, int]]]:
    """Cut the rows of a release (schema.RELEASE, codes filled in) into its splits.

    Args:
        rows: every image once a split it is in.
        validation: share of the train landmarks to set aside, 0 <= share < 1.
        labelled_only: leave images without a label out of train, train_clean and validation. Index and query keep
            theirs: there they are distractors, part of the task.
        seed: of the choice.

    Returns:
        Rows by split, in the order of `schema.SPLITS`, empty ones left out; and what was left out, by split: `images`
        and `landmarks`.

    Raises:
        UsageError: a share out of range, or validation asked for where the images have one already.
        CorruptInputError: a landmark is in both train and validation.
    """
    if not 0 <= validation < 1:
        raise UsageError("validation is a share of the landmarks", got=validation, expected="0 or more, below 1")
    split = rows["split"].to_pandas().to_numpy(dtype=object)
    if validation and "validation" in split:
        raise UsageError("the images have a validation split already", do="export with validation: 0")
    in_train = np.isin(split, [name for name, space in SPACE_OF.items() if space == "train"])
    unlabelled = rows["label"].to_numpy() < 0
    dropped = in_train & unlabelled & labelled_only
    group = _groups(rows)
    moved = np.isin(group, _chosen(rows, group, in_train & ~dropped, validation, seed)) & in_train
    target = np.where(moved & (split == "train"), "validation", split)
    target[moved & (split == "train_clean")] = ""  # the same images come with train
    target[dropped] = ""
    _refuse_leaks(target, group, rows)
    found = {name: rows.filter(pa.array(target == name)) for name in SPLITS}
    return (
        {n: t.set_column(1, "split", pa.array([n] * len(t), pa.string())) for n, t in found.items() if len(t)},
        {name: _count(rows, dropped & (split == name)) for name in SPLITS if (dropped & (split == name)).any()},
    )


def _groups(rows: pa.Table) -> npt.NDArray[np.int64]:
    """A number for each landmark: its leaf, or where it has none its id in its space, below zero."""
    own = pc.binary_join_element_wise(rows["space"], rows["landmark_id"], "\0")
    codes, _ = pd.factorize(own.to_pandas(), sort=True)
    leaf = rows["landmark"].to_numpy()
    groups: npt.NDArray[np.int64] = np.where(leaf >= 0, leaf, -1 - codes)
    return groups


def _chosen(
    rows: pa.Table, group: npt.NDArray[np.int64], usable: npt.NDArray[np.bool_], share: float, seed: int
) -> npt.NDArray[np.int64]:
    """Groups to set aside: of each label its share, rounded up or down by chance, and at least one group left in train.

    Chance is a hash of the seed and of the landmark's or label's name, so a new landmark changes only its own label.
    """
    frame = rows.select(["hierarchical_label", "space", "landmark_id"]).filter(pa.array(usable)).to_pandas()
    frame["group"] = group[usable]
    frame = frame.drop_duplicates().sort_values(["space", "landmark_id"]).drop_duplicates("group")  # by its first id
    names = (frame["space"] + " " + frame["landmark_id"]).tolist()
    frame = frame.assign(order=[_chance(f"{seed} {name}") for name in names]).sort_values("order", kind="stable")
    sizes = frame["hierarchical_label"].value_counts()
    quotas = {label: min(int(share * size + _chance(f"{seed} {label}")), size - 1) for label, size in sizes.items()}
    quota = frame["hierarchical_label"].map(quotas).astype(np.int64)
    first = frame.groupby("hierarchical_label").cumcount() < quota
    chosen: npt.NDArray[np.int64] = frame.loc[first, "group"].to_numpy(dtype=np.int64)
    return chosen


def _chance(text: str) -> float:
    """A number in [0, 1) that the text alone decides, on every machine and in every version."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big") / 2**48


def _refuse_leaks(target: npt.NDArray[np.object_], group: npt.NDArray[np.int64], rows: pa.Table) -> None:
    leaked = np.intersect1d(group[np.isin(target, ["train", "train_clean"])], group[target == "validation"])
    if len(leaked):
        row = int(np.argmax((group == leaked[0]) & (target == "validation")))
        raise CorruptInputError(
            f"the landmark of image {rows['id'][row]} ({rows['name'][row]}) is in both train and validation",
            do="give all its images one of the two splits",
        )


def _count(rows: pa.Table, chosen: npt.NDArray[np.bool_]) -> dict[str, int]:
    landmarks = rows.filter(pa.array(chosen)).select(["space", "landmark_id"]).group_by(["space", "landmark_id"])
    return {"images": int(chosen.sum()), "landmarks": landmarks.aggregate([]).num_rows}
