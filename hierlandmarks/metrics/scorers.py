"""Where scores come from: a matrix that is there, or the products of two sources of vectors, block by block."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.errors import CorruptInputError
from hierlandmarks.metrics.ranking import Scores
from hierlandmarks.metrics.sources import Source

BUDGET = 52 << 20  # bytes of score rows held at a time, where that leaves enough of them
ROWS = (128, 1024)  # fewer make a matrix product wait for memory rather than arithmetic, more gain nothing
CEILING = 1 << 30  # bytes of score rows that are never exceeded, for galleries of millions
TILE = 16_384  # gallery rows multiplied, and read from a file, at a time


class Scorer(Protocol):
    """Anything that yields the float32 scores of consecutive queries against the whole gallery."""

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """(first query, B × G scores); the scores may be overwritten once the next block is asked for."""
        ...

    def tiles(self) -> Iterator[tuple[int, int, Scores]]:
        """(first query, first gallery row, B × T scores), the gallery in order within a block of queries; likewise."""
        ...

    def refuse(self, start: int, block: Scores) -> NoReturn:
        """Raise the error for a block whose scores are not all finite."""
        ...


class MatrixScorer:
    """Scores that are there already: Q × G."""

    def __init__(self, scores: NDArray[Any]) -> None:
        self.scores = scores

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """Consecutive rows as float32."""
        for start, stop in itertools.pairwise(query_edges(*self.scores.shape)):
            yield start, np.ascontiguousarray(self.scores[start:stop], dtype=np.float32)

    def tiles(self) -> Iterator[tuple[int, int, Scores]]:
        """Whole rows: there is nothing to gain from less."""
        for start, block in self.blocks():
            yield start, 0, block

    def refuse(self, start: int, block: Scores) -> NoReturn:
        """Name the first score that is not finite."""
        refuse_score(start, block)


class ProductScorer:
    """Inner products of two sources of vectors.

    The last bit of a product depends on the shape of the matrices it is computed with, so both are cut at places
    that follow from their sizes alone: the scores are the same from an array, a memory map or shards, whichever
    metrics are asked for.
    """

    def __init__(self, query: Source, gallery: Source) -> None:
        self.query, self.gallery = query, gallery

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """Consecutive blocks of queries against the gallery, tile by tile into one buffer."""
        size = self.gallery.shape[0]
        edges = query_edges(self.query.shape[0], size)
        buffer = np.empty((max(np.diff(edges)), size), dtype=np.float32)
        for start, stop in itertools.pairwise(edges):
            block = buffer[: stop - start]
            for _ in self._products(start, stop, block):
                pass
            yield start, block

    def tiles(self) -> Iterator[tuple[int, int, Scores]]:
        """The same scores a tile at a time."""
        for start, stop in itertools.pairwise(query_edges(self.query.shape[0], self.gallery.shape[0])):
            for first, tile in self._products(start, stop, None):
                yield start, first, tile

    def _products(self, start: int, stop: int, into: Scores | None) -> Iterator[tuple[int, Scores]]:
        """(first gallery row, scores) by tile, side by side in `into` or each in the place of the last."""
        edges = balanced(self.gallery.shape[0], TILE)
        vectors = self.query.read(start, stop)
        own = np.empty((stop - start, max(np.diff(edges))), dtype=np.float32) if into is None else into
        for a, b in itertools.pairwise(edges):
            tile = own[:, : b - a] if into is None else into[:, a:b]
            with np.errstate(all="ignore"):  # what is not finite is refused by row
                np.matmul(vectors, self.gallery.read(a, b).T, out=tile)
            yield a, tile

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


def query_edges(queries: int, size: int) -> list[int]:
    """Where queries are cut into blocks for a gallery of `size`: about 52 MB of scores, or 128 rows of them.

    >>> query_edges(256, 100_000)
    [0, 128, 256]
    """
    row = 4 * max(size, 1)
    rows = min(max(ROWS[0], min(ROWS[1], BUDGET // row)), max(2, CEILING // row))
    return balanced(queries, rows)


def balanced(total: int, at_most: int) -> list[int]:
    """Edges of nearly equal pieces of 0 … total, so that no piece is a splinter.

    >>> balanced(10, 4)
    [0, 3, 6, 10]
    """
    pieces = max(1, -(-total // at_most))
    return [total * i // pieces for i in range(pieces + 1)]
