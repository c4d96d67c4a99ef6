"""The level of a pair: how many labels, counted from the coarse end, a query and a gallery item share.

Labels become *path codes* once, so that the level of a pair is a count of equal integers: code p of an item numbers
the whole path of its p coarsest labels. An empty label (−1) never matches, another empty one included, and cuts the
path there: what lies below is not compared, so two photos of one landmark whose coarsest label is empty are at level 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hierlandmarks.errors import CorruptInputError, UsageError
from hierlandmarks.metrics.relevance import Ints

Codes = NDArray[np.int32]


@dataclass(frozen=True)
class Paths:
    """Path codes of queries and gallery, and how many gallery items share each.

    Attributes:
        query: L × Q; row p − 1 holds the code of the p coarsest labels, −2 where that path is empty.
        gallery: L × G, −1 where that path is empty.
        shared: Q × L; column p − 1 counts the gallery items of level ≥ p for each query.
        skip: Q gallery rows that are the query itself, −1 for none; already left out of `shared`.
    """

    query: Codes
    gallery: Codes
    shared: Ints
    skip: Ints

    @property
    def depth(self) -> int:
        """L, the number of label columns."""
        return len(self.gallery)

    def counts(self, query: int | slice) -> Ints:
        """Gallery items of each exact level 0 … L for one query or several, each left out of its own."""
        size = self.gallery.shape[1] - (self.skip[query] >= 0)
        at_least = np.concatenate((np.asarray(size)[..., None], self.shared[query]), axis=-1)
        at_least[..., :-1] -= at_least[..., 1:]
        return at_least

    def levels(self, query: int, rows: Ints | slice = slice(None)) -> NDArray[np.uint8]:
        """The level of gallery rows for one query; the query itself, where it is among them, keeps its own level."""
        level = np.zeros(self.gallery[0, rows].shape, dtype=np.uint8)
        for mine, theirs in zip(self.query[:, query], self.gallery, strict=True):
            level += theirs[rows] == mine
        return level


def paths(query_labels: Ints, gallery_labels: Ints, skip: Ints) -> Paths:
    """Number the label paths of queries and gallery together.

    Args:
        query_labels: Q × L integers, fine → coarse, −1 where empty.
        gallery_labels: G × L likewise.
        skip: Q gallery rows that are the query itself, −1 for none.

    Complexity: O((Q + G) · L · log(Q + G)), once.
    """
    n_query, depth = query_labels.shape
    labels = np.concatenate((query_labels, gallery_labels))
    code = np.zeros(len(labels), dtype=np.int64)
    alive = np.ones(len(labels), dtype=bool)
    rows, shared = [], []
    for column in range(depth - 1, -1, -1):
        alive &= labels[:, column] >= 0
        _, label = np.unique(labels[:, column], return_inverse=True)
        _, code = np.unique(code * (int(label.max(initial=0)) + 1) + label, return_inverse=True)
        per_code = np.bincount(code[n_query:][alive[n_query:]], minlength=int(code.max(initial=0)) + 1)
        itself = alive[:n_query] & (skip >= 0) & (code[n_query:][skip] == code[:n_query])
        shared.append(np.where(alive[:n_query], per_code[code[:n_query]], 0) - itself)
        rows.append(np.where(alive, code, -1).astype(np.int32))
    codes = np.stack(rows)
    query = np.where(codes[:, :n_query] < 0, -2, codes[:, :n_query]).astype(np.int32)
    gallery = np.ascontiguousarray(codes[:, n_query:])
    return Paths(query, gallery, np.stack(shared, axis=1).astype(np.int64), skip)


def check_labels(labels: ArrayLike, name: str, n: int, depth: int | None = None) -> Ints:
    """Labels as an n × L array of int64.

    Args:
        labels: n × L integers fine → coarse, or n for one level.
        name: what to call them in messages.
        n: rows they must have.
        depth: L they must have; None for any.

    Raises:
        UsageError: no integers, not n rows, or another number of levels.
        CorruptInputError: a label under −1.
    """
    array = np.asarray(labels)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
        raise UsageError(
            f"{name} are no label array", got=f"{array.dtype} of shape {array.shape}", expected="N × L integers"
        )
    if len(array) != n or array.shape[1] == 0:
        raise UsageError(f"{name} do not fit", got=f"shape {array.shape}", expected=f"{n} rows of at least one label")
    if depth is not None and array.shape[1] != depth:
        raise UsageError(f"{name} have another depth", got=f"{array.shape[1]} labels in row 0", expected=f"{depth}")
    if (bad := np.flatnonzero((array < -1).any(axis=1))).size:
        raise CorruptInputError(
            f"{name} row {bad[0]} is no label", got=array[bad[0]].tolist(), expected="≥ 0, or −1 for empty"
        )
    return array.astype(np.int64)
