"""Where scores come from: a matrix that is there, or the products of two sources of vectors, block by block."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.errors import CorruptInputError
from hierlandmarks.metrics.ranking import Scores
from hierlandmarks.metrics.sources import ArraySource, Source

BUDGET = 52 << 20  # bytes of score rows held at a time
FEWEST_ROWS = 64  # under this a matrix product waits for memory rather than arithmetic
TILE = 16_384  # gallery rows read and multiplied at a time, where the gallery is no float32 array


class Scorer(Protocol):
    """Anything that yields the float32 scores of consecutive queries against the whole gallery."""

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """(first query, B × G scores); the scores may be overwritten once the next block is asked for."""
        ...

    def refuse(self, start: int, block: Scores) -> NoReturn:
        """Raise the error for a block whose scores are not all finite."""
        ...


class MatrixScorer:
    """Scores that are there already: Q × G."""

    def __init__(self, scores: NDArray[Any], rows: int) -> None:
        self.scores, self.rows = scores, rows

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """Consecutive rows as float32."""
        for start in range(0, len(self.scores), self.rows):
            yield start, np.ascontiguousarray(self.scores[start : start + self.rows], dtype=np.float32)

    def refuse(self, start: int, block: Scores) -> NoReturn:
        """Name the first score that is not finite."""
        refuse_score(start, block)


class ProductScorer:
    """Inner products of two sources of vectors."""

    def __init__(self, query: Source, gallery: Source, rows: int) -> None:
        self.query, self.gallery, self.rows = query, gallery, rows

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """Consecutive blocks of queries against the gallery, tile by tile into one buffer."""
        size = self.gallery.shape[0]
        whole = isinstance(self.gallery, ArraySource) and self.gallery.array.dtype == np.float32
        tiles = [0, size] if whole else balanced(size, TILE)
        starts = balanced(self.query.shape[0], self.rows)
        buffer = np.empty((max(2, max(np.diff(starts))), size), dtype=np.float32)
        for start, stop in itertools.pairwise(starts):
            vectors = self.query.read(start, stop)
            # one row alone would take another routine of the BLAS, with other rounding: never less than two
            vectors = np.concatenate((vectors, vectors)) if len(vectors) == 1 else vectors
            for a, b in itertools.pairwise(tiles):
                with np.errstate(all="ignore"):  # what is not finite is refused by row
                    np.matmul(vectors, self.gallery.read(a, b).T, out=buffer[: len(vectors), a:b])
            yield start, buffer[: stop - start]

    def refuse(self, start: int, block: Scores) -> NoReturn:
        """Name the first row of queries or gallery that is not finite, or the first score."""
        for name, source in (("query", self.query), ("gallery", self.gallery)):
            for a, b in itertools.pairwise(balanced(source.shape[0], TILE)):
                if (bad := np.flatnonzero(~np.isfinite(source.read(a, b)).all(axis=1))).size:
                    what = f"{name} embeddings row {a + bad[0]} holds NaN or infinity"
                    raise CorruptInputError(what, expected="finite numbers", do="embed that image again")
        refuse_score(start, block)


def refuse_score(start: int, block: Scores) -> NoReturn:
    """Raise the error that names the first score that is not finite."""
    query, item = (int(i) for i in np.argwhere(~np.isfinite(block))[0])
    what = f"the score of query row {start + query} and gallery row {item} is {block[query, item]}"
    raise CorruptInputError(what, expected="a finite float32", do="normalise the embeddings")


def block_rows(size: int) -> int:
    """Queries whose score rows are held at a time for a gallery of `size`."""
    return max(FEWEST_ROWS, BUDGET // (4 * max(size, 1)))


def balanced(total: int, at_most: int) -> list[int]:
    """Edges of nearly equal pieces of 0 … total, so that no piece is a splinter.

    >>> balanced(10, 4)
    [0, 3, 6, 10]
    """
    pieces = max(1, -(-total // at_most))
    return [total * i // pieces for i in range(pieces + 1)]
