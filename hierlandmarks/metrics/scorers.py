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
from hierlandmarks.metrics.threads import in_threads

BUDGET = 52 << 20  # bytes of score rows held at a time, where that leaves enough of them
ROWS = (128, 1024)  # fewer make a matrix product wait for memory rather than arithmetic, more gain nothing
CEILING = 1 << 30  # bytes of score rows that are never exceeded, for galleries of millions
TILE = 8192  # gallery rows multiplied, and read from a file, at a time


class Scorer(Protocol):
    """Where the scores of any queries against any part of the gallery come from.

    Attributes:
        queries: edges of the blocks of queries.
        tiles: edges of the tiles of the gallery.
    """

    queries: list[int]
    tiles: list[int]

    def read(self, start: int, stop: int) -> Scores:
        """What `tile` needs of queries `start` to `stop`."""
        ...

    def tile(self, rows: Scores, first: int, last: int, out: Scores) -> None:
        """Scores of those queries against gallery rows `first` to `last`, into B × T float32."""
        ...

    def refuse(self, start: int, block: Scores, first: int = 0) -> NoReturn:
        """Raise the error for scores of queries from `start` and gallery rows from `first` that are not all finite."""
        ...


class MatrixScorer:
    """Scores that are there already: Q × G."""

    def __init__(self, scores: NDArray[Any]) -> None:
        self.scores = scores
        self.queries, self.tiles = query_edges(*scores.shape), balanced(scores.shape[1], TILE)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """The rows themselves."""
        return self.scores[start:stop]

    def tile(self, rows: NDArray[Any], first: int, last: int, out: Scores) -> None:
        """A part of them, as float32."""
        out[:] = rows[:, first:last]

    def refuse(self, start: int, block: Scores, first: int = 0) -> NoReturn:
        """Name the first score that is not finite."""
        refuse_score(start, block, first)


class ProductScorer:
    """Inner products of two sources of vectors.

    The last bit of a product depends on the shape of the matrices it is computed with, so both are cut at places that
    follow from their sizes alone: the scores are the same from an array, a memory map or shards, for whichever metrics.
    """

    def __init__(self, query: Source, gallery: Source) -> None:
        self.query, self.gallery = query, gallery
        self.queries, self.tiles = query_edges(query.shape[0], gallery.shape[0]), balanced(gallery.shape[0], TILE)

    def read(self, start: int, stop: int) -> Scores:
        """Vectors of the queries."""
        return self.query.read(start, stop)

    def tile(self, rows: Scores, first: int, last: int, out: Scores) -> None:
        """One matrix product."""
        with np.errstate(all="ignore"):  # what is not finite is refused by row
            np.matmul(rows, self.gallery.read(first, last).T, out=out)

    def refuse(self, start: int, block: Scores, first: int = 0) -> NoReturn:
        """Name the first row of queries or gallery that is not finite, or the first score."""
        for name, source in (("query", self.query), ("gallery", self.gallery)):
            for a, b in itertools.pairwise(balanced(source.shape[0], TILE)):
                if (bad := np.flatnonzero(~np.isfinite(source.read(a, b)).all(axis=1))).size:
                    what = f"{name} embeddings row {a + bad[0]} holds NaN or infinity"
                    raise CorruptInputError(what, expected="finite numbers", do="embed that image again")
        refuse_score(start, block, first)


def blocks(scorer: Scorer) -> Iterator[tuple[int, Scores]]:
    """(first query, B × G scores) block by block, tiles in threads; each block is written over the one before."""
    buffer = np.empty((max(np.diff(scorer.queries)), scorer.tiles[-1]), dtype=np.float32)
    for start, stop in itertools.pairwise(scorer.queries):
        rows, block = scorer.read(start, stop), buffer[: stop - start]

        def fill(edges: tuple[int, int], rows: Scores = rows, block: Scores = block) -> None:
            scorer.tile(rows, *edges, block[:, edges[0] : edges[1]])

        in_threads(fill, itertools.pairwise(scorer.tiles))
        yield start, block


def refuse_score(start: int, block: Scores, first: int) -> NoReturn:
    """Raise the error that names the first score that is not finite."""
    query, item = (int(i) for i in np.argwhere(~np.isfinite(block))[0])
    what = f"the score of query row {start + query} and gallery row {first + item} is {block[query, item]}"
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
