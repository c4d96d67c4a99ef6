"""The loop over blocks: scores of a block of queries against the whole gallery, ranked and measured, then forgotten.

Full-ranking metrics need the order of one query's gallery at a time, so the only thing of gallery size that is kept is a block of score
rows: `block_rows` of them, about 48 MB where the gallery allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.errors import CorruptInputError
from hierlandmarks.metrics.columns import Plan, row
from hierlandmarks.metrics.levels import Paths
from hierlandmarks.metrics.ranking import Ranked, Scores, Ties, ordinals, rank
from hierlandmarks.metrics.relevance import Floats
from hierlandmarks.metrics.sources import ArraySource, Source
from hierlandmarks.metrics.threads import in_threads

Backend = Literal["auto", "numpy", "compiled"]

BUDGET = 48 << 20  # bytes of score rows held at a time
FEWEST_ROWS = 64  # under this a matrix product waits for memory rather than arithmetic
TILE = 16_384  # gallery rows read and multiplied at a time, where the gallery is no float32 array


@dataclass(frozen=True)
class Measured:
    """What the loop returns: Q × C metrics, and for each query whether ties between levels touch it."""

    values: Floats
    tied: NDArray[np.bool_]


class Scorer(Protocol):
    """Anything that yields the float32 scores of consecutive queries against the whole gallery."""

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """(first query, B × G scores); the scores may be overwritten once the next block is asked for."""
        ...


class MatrixScorer:
    """Scores that are there already: Q × G."""

    def __init__(self, scores: NDArray[np.floating], rows: int) -> None:
        self.scores, self.rows = scores, rows

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """Consecutive rows as float32."""
        for start in range(0, len(self.scores), self.rows):
            block = np.ascontiguousarray(self.scores[start : start + self.rows], dtype=np.float32)
            yield start, check_scores(block, start)


class ProductScorer:
    """Inner products of two sources of vectors."""

    def __init__(self, query: Source, gallery: Source, rows: int) -> None:
        self.query, self.gallery, self.rows = query, gallery, rows

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """Consecutive blocks of queries against the gallery, tile by tile into one buffer."""
        (n, _), (size, _) = self.query.shape, self.gallery.shape
        whole = isinstance(self.gallery, ArraySource) and self.gallery.array.dtype == np.float32
        edges = [0, size] if whole else balanced(size, TILE)
        starts = balanced(n, self.rows)
        buffer = np.empty((max(b - a for a, b in pairs(starts)) + 1, size), dtype=np.float32)
        for start, stop in pairs(starts):
            vectors = self.query.read(start, stop)
            # one row alone would take another routine of the BLAS, with other rounding: never less than two
            vectors = np.concatenate((vectors, vectors)) if len(vectors) == 1 else vectors
            for a, b in pairs(edges):
                with np.errstate(all="ignore"):  # what is not finite is refused below, by row
                    np.matmul(vectors, self.gallery.read(a, b).T, out=buffer[: len(vectors), a:b])
            block = buffer[: stop - start]
            if not _finite(block):
                self._refuse(start, vectors[: stop - start], block)
            yield start, block

    def _refuse(self, start: int, vectors: Scores, block: Scores) -> None:
        """Name the first row of queries or gallery that is not finite."""
        if (bad := np.flatnonzero(~np.isfinite(vectors).all(axis=1))).size:
            raise CorruptInputError(f"query row {start + bad[0]} holds NaN or infinity", do="embed that image again")
        for a, b in pairs(balanced(self.gallery.shape[0], TILE)):
            if (bad := np.flatnonzero(~np.isfinite(self.gallery.read(a, b)).all(axis=1))).size:
                raise CorruptInputError(f"gallery row {a + bad[0]} holds NaN or infinity", do="embed that image again")
        check_scores(block, start)


def block_rows(size: int) -> int:
    """Queries whose score rows are held at a time for a gallery of `size`."""
    return max(FEWEST_ROWS, BUDGET // (4 * max(size, 1)))


def balanced(total: int, at_most: int) -> list[int]:
    """Edges of nearly equal pieces of 0 … total, so that no piece is a splinter."""
    pieces = max(1, -(-total // at_most))
    return [total * i // pieces for i in range(pieces + 1)]


def pairs(edges: list[int]) -> Iterator[tuple[int, int]]:
    """Consecutive (start, stop)."""
    return zip(edges[:-1], edges[1:], strict=True)


def check_scores(scores: Scores, first: int = 0) -> Scores:
    """The scores themselves, if all are finite.

    Raises:
        CorruptInputError: NaN or infinity, naming query and gallery row.
    """
    if not _finite(scores):
        q, g = (int(i) for i in np.argwhere(~np.isfinite(scores))[0])
        what = f"the score of query row {first + q} and gallery row {g} is {scores[q, g]}"
        raise CorruptInputError(what, expected="a finite float32", do="normalise the vectors")
    return scores


def _finite(scores: Scores) -> bool:
    return all(in_threads(lambda line: bool(np.isfinite(line).all()), scores))


def measure(scorer: Scorer, paths: Paths, plan: Plan, ties: Ties = "position", backend: Backend = "auto") -> Measured:
    """Every metric of a plan for every query.

    Args:
        scorer: yields blocks of scores.
        paths: who matches whom.
        plan: what to compute.
        ties: the order among equal scores.
        backend: `compiled` needs numba; `auto` takes it where it is installed and worth its start.

    Raises:
        UsageError: `compiled` without numba.
        CorruptInputError: scores that are not finite.
    """
    n = paths.query.shape[1]
    values = np.empty((n, len(plan.columns)))
    tied = np.zeros(n, dtype=bool)
    for start, block in scorer.blocks():
        stop = start + len(block)

        def one(query: int, block: Scores = block, start: int = start) -> None:
            ranked = rank_query(block[query - start], paths, query, plan, ties)
            values[query] = row(plan, ranked, paths.counts(query))
            tied[query] = ranked.tied

        in_threads(one, range(start, stop))
    return Measured(values, tied)


def rank_query(scores: Scores, paths: Paths, query: int, plan: Plan, ties: Ties) -> Ranked:
    """Rank one query's gallery: all of it, or its top where that decides every metric asked for."""
    skip = int(paths.skip[query])
    prefix = plan.prefix(paths.counts(query))
    if prefix is None or 4 * prefix >= len(scores):
        return rank(scores, paths.levels(query), skip, ties)
    key = ordinals(scores)
    last = prefix + (skip >= 0)  # one more, for the query may be among them
    rows = np.flatnonzero(key <= np.partition(key, last)[last])
    return rank(scores[rows], paths.levels(query, rows), int(np.searchsorted(rows, skip)) if skip in rows else -1, ties)
