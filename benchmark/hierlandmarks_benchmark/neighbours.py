"""Exact nearest neighbours by inner product: the first k of every query, or all, over vectors larger than memory.

The score of a pair is its inner product, summed in float64 and rounded to float32; items of equal score stand in the
order of their rows. A library (faiss, torch) only proposes candidates in float32, and as many of them as its rounding
error demands are scored again, so that the result is the same whoever proposed, on whatever device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.errors import CorruptInputError, UsageError
from hierlandmarks.metrics.sources import Source
from hierlandmarks.params import nearest

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Propose = Callable[[Floats, Floats, int], tuple[Floats, Ints]]  # queries, tile, k → best k scores and rows of each

BACKENDS = ("auto", "faiss", "torch")
TILE = 65_536  # gallery rows in memory at a time
QUERIES = 1024  # queries answered at a time
SPARE = 16  # candidates beyond k that are asked for at first
CELLS = 1 << 24  # numbers of candidates' vectors in memory at a time


def rank(
    query: Source, gallery: Source, k: int | None = None, *, skip: Ints | None = None, backend: str = "auto"
) -> Iterator[tuple[int, Ints]]:
    """Rows of the gallery for every query, best first, some queries at a time.

    Args:
        query: Q × d.
        gallery: G × d.
        k: results a query; None, or G or more, for all.
        skip: for each query a row of the gallery that is not to be found (itself), -1 for none.
        backend: `faiss`, `torch` (on CUDA where there is one), or `auto`: torch on CUDA, else faiss where it is
            installed. All give the same.

    Yields:
        The number of the first query of a block, and B × min(k, G) rows; a last column of -1 where one was skipped.

    Raises:
        UsageError: widths that differ, k < 1, an unknown backend.
        CorruptInputError: a vector that is not finite, or beyond 1e18.

    Complexity: one matrix product; all rows also one sort a query. Memory: a tile of the gallery and its candidates,
    or B × G scores.
    """
    if query.shape[1] != gallery.shape[1] or (k is not None and k < 1):
        raise UsageError("nothing can be searched", got=f"widths {query.shape[1]} and {gallery.shape[1]}, k = {k}")
    propose, size = _proposer(backend), gallery.shape[0]
    wanted = size if k is None else min(k, size)
    asked = min(wanted + (skip is not None), size)
    step = QUERIES if asked < size else max(1, min(QUERIES, CELLS // max(size, 1)))
    for start in range(0, query.shape[0], step):
        stop = min(start + step, query.shape[0])
        block = _checked(query.read(start, stop), "query", start)
        rows = _all(block, gallery) if asked == size else _first(block, gallery, asked, propose)
        yield start, rows if skip is None else _without(rows, skip[start:stop], wanted)


def _proposer(backend: str) -> Propose:
    if backend not in BACKENDS:
        raise UsageError("the backend is unknown", got=repr(backend), do=nearest(backend, BACKENDS))
    if backend == "auto":
        from importlib.util import find_spec

        import torch

        backend = "torch" if torch.cuda.is_available() or find_spec("faiss") is None else "faiss"
    return {"faiss": _propose_faiss, "torch": _propose_torch}[backend]


def _propose_faiss(queries: Floats, tile: Floats, k: int) -> tuple[Floats, Ints]:
    import faiss

    scores, rows = faiss.knn(queries, tile, k, metric=faiss.METRIC_INNER_PRODUCT)
    return scores, rows


def _propose_torch(queries: Floats, tile: Floats, k: int) -> tuple[Floats, Ints]:
    import torch

    from hierlandmarks_benchmark.search import exact_products

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with exact_products():
        found = (torch.from_numpy(queries).to(device) @ torch.from_numpy(tile).to(device).T).topk(k)
    return found.values.cpu().numpy(), found.indices.cpu().numpy()


def _first(block: Floats, gallery: Source, k: int, propose: Propose) -> Ints:
    """The best k rows of each query, merged tile by tile."""
    count, size = len(block), gallery.shape[0]
    best = np.full((count, k), -np.inf, np.float32), np.full((count, k), size, np.int64)
    for start in range(0, size, TILE):
        tile = _checked(gallery.read(start, min(start + TILE, size)), "gallery", start)
        scores, rows = _of_tile(block, tile, min(k, len(tile)), propose)
        both = np.concatenate([best[0], scores], axis=1), np.concatenate([best[1], rows + start], axis=1)
        best = _sorted(*both, k)
    return best[1]


def _of_tile(block: Floats, tile: Floats, k: int, propose: Propose) -> tuple[Floats, Ints]:
    """The best k of one tile, exact: asked for again and again where rounding could hide one of them."""
    scores, rows = np.empty((len(block), k), np.float32), np.empty((len(block), k), np.int64)
    open_, asked = np.arange(len(block)), min(k + SPARE, len(tile))
    # |float32 product - true| ≤ d·2⁻²³·|q|·|g|, whatever the order of summing; once more for rounding our own
    reach = (block.shape[1] + 2) * 2.0**-23 * np.linalg.norm(block, axis=1) * np.linalg.norm(tile, axis=1).max()
    while len(open_):
        proposed, found = propose(np.ascontiguousarray(block[open_]), tile, asked)
        exact = _exact(block[open_], tile, found)
        scores[open_], rows[open_] = _sorted(exact, found, k)
        safe = proposed.min(axis=1) + reach[open_] < scores[open_, -1]
        open_ = open_[~safe] if asked < len(tile) else open_[:0]
        asked = min(4 * asked, len(tile))
    return scores, rows


def _exact(block: Floats, tile: Floats, rows: Ints) -> Floats:
    """The scores of some rows for each query: B × k."""
    out = np.empty(rows.shape, np.float32)
    step = max(1, CELLS // max(1, rows.shape[1] * tile.shape[1]))
    for start in range(0, len(block), step):
        part = slice(start, start + step)
        out[part] = np.einsum("qd,qkd->qk", block[part].astype(np.float64), tile[rows[part]].astype(np.float64))
    return out


def _sorted(scores: Floats, rows: Ints, k: int) -> tuple[Floats, Ints]:
    """The best k, by score descending, then by row."""
    order = np.lexsort((rows, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)


def _all(block: Floats, gallery: Source) -> Ints:
    """Every row for each query."""
    size = gallery.shape[0]
    scores = np.empty((len(block), size), np.float32)
    wide = block.astype(np.float64)
    for start in range(0, size, TILE):
        stop = min(start + TILE, size)
        scores[:, start:stop] = wide @ _checked(gallery.read(start, stop), "gallery", start).astype(np.float64).T
    order: Ints = np.argsort(-scores, axis=1, kind="stable")
    return order


def _without(rows: Ints, skip: Ints, k: int) -> Ints:
    """The rows but those skipped, k of them; -1 at the end of a list that is one short."""
    hit = rows == skip[:, None]
    order = np.argsort(hit, axis=1, kind="stable")  # the skipped one moves to the end
    moved = np.take_along_axis(np.where(hit, -1, rows), order, 1)
    return moved[:, :k]


def _checked(vectors: Floats, name: str, start: int) -> Floats:
    bad = ~(np.abs(vectors) < 1e18).all(axis=1)  # beyond, a product of two is no float32 any more; NaN is caught too
    if bad.any():
        raise CorruptInputError(f"{name} row {start + int(bad.argmax())} is not finite", do="embed again")
    return np.ascontiguousarray(vectors, np.float32)
