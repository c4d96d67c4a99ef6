"""The compiled side of `engine.measure`: blocks of scores cut into pieces for the threads."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.metrics import engine
from hierlandmarks.metrics.columns import BINARY, GRADED, Plan
from hierlandmarks.metrics.compiled.rows import OPTIMISTIC, PESSIMISTIC, POSITION, score_rows
from hierlandmarks.metrics.compiled.score import tables
from hierlandmarks.metrics.compiled.sort import DONE, INEXACT, NOT_FINITE
from hierlandmarks.metrics.compiled.top import LOWEST, NOTHING, score_tops, take_tile
from hierlandmarks.metrics.levels import Paths
from hierlandmarks.metrics.ranking import Scores, Ties
from hierlandmarks.metrics.relevance import Floats, Ints, relevance_of_levels
from hierlandmarks.metrics.scorers import Scorer, balanced, blocks
from hierlandmarks.metrics.threads import in_threads, n_threads

ORDER: dict[Ties, int] = {"position": POSITION, "optimistic": OPTIMISTIC, "pessimistic": PESSIMISTIC}
PIECES = 4  # for each thread, so that none waits long for another
FEW = 16  # a top shorter than the gallery by this factor is counted, not sorted


@dataclass(frozen=True)
class Job:
    """What every piece needs: queries and gallery, the plan in the shape the kernels take, and the results."""

    paths: Paths
    query: NDArray[np.int32]
    plan: Plan
    ties: Ties
    cuts: tuple[Any, ...]
    table: Floats
    width: int
    chosen: list[int]
    into: engine.Measured


def measure(scorer: Scorer, paths: Paths, plan: Plan, ties: Ties, into: engine.Measured) -> None:
    """Measure every query; see `engine.measure`."""
    everything = replace(plan, metrics=GRADED + BINARY, label_columns=None)
    families = ("ndcg_at", "tree_distance_at", "map_at", "recall_at", "precision_at")
    size = paths.gallery.shape[1]
    job = Job(
        paths=paths,
        query=np.ascontiguousarray(paths.query.T),
        plan=plan,
        ties=ties,
        cuts=tuple(np.array(everything.cuts(family), dtype=np.int64) for family in families),
        table=tables(size),
        width=len(everything.columns),
        chosen=[everything.columns.index(name) for name in plan.columns],
        into=into,
    )
    wanted = plan.prefix(paths.counts(slice(None)))
    if wanted is not None and ties == "position" and FEW * int(wanted.max()) <= size:
        _count(scorer, job, wanted)
    else:
        _sort(scorer, job)


def _pieces(start: int, rows: int) -> list[slice]:
    """Queries `start` … `start` + `rows` − 1 in pieces for the threads."""
    edges = balanced(rows, max(1, rows // (PIECES * n_threads())))
    return [slice(start + a, start + b) for a, b in itertools.pairwise(edges)]


def _sort(scorer: Scorer, job: Job) -> None:
    """Whole rankings, sorted."""
    for start, block in blocks(scorer):

        def piece(at: slice, start: int = start, block: Scores = block) -> int:
            return _sorted_piece(at, block[at.start - start : at.stop - start], job)

        if NOT_FINITE in in_threads(piece, _pieces(start, len(block))):
            scorer.refuse(start, block)


def _sorted_piece(at: slice, scores: Scores, job: Job) -> int:
    """Measure one piece; queries that the kernel cannot order exactly are done in numpy."""
    counts = job.paths.counts(at)
    relevance = relevance_of_levels(counts, job.plan.relevance, job.plan.alpha, job.plan.weights)
    out, status = np.empty((len(scores), job.width)), np.empty(len(scores), dtype=np.uint8)
    score_rows(
        scores,
        job.paths.gallery,
        job.query[at],
        job.paths.skip[at],
        counts,
        relevance,
        job.table,
        job.cuts,
        ORDER[job.ties],
        out,
        job.into.tied[at],
        status,
    )
    job.into.values[at] = out[:, job.chosen]
    for i in np.flatnonzero(status == INEXACT).tolist():
        engine.measure_query(scores[i], at.start + i, job.paths, job.plan, job.ties, job.into)
    return int(status.max(initial=DONE))


def _count(scorer: Scorer, job: Job, wanted: Ints) -> None:
    """Only the first ranks, from tiles that are looked at once and forgotten.

    Every thread takes a block of queries past the gallery, or past a part of it where blocks are fewer than threads.
    """
    spans = list(itertools.pairwise(scorer.queries))
    tiles = list(itertools.pairwise(scorer.tiles))
    edges = balanced(len(tiles), max(1, len(tiles) * len(spans) // n_threads()))

    def count(span: tuple[int, int]) -> None:
        at = slice(*span)
        stream = partial(_candidates, scorer, job, at, wanted[at])
        parts = in_threads(stream, [tiles[a:b] for a, b in itertools.pairwise(edges)])
        _measure_top(job, at, wanted[at], np.concatenate(parts, axis=1))

    in_threads(count, spans)


def _candidates(scorer: Scorer, job: Job, at: slice, wanted: Ints, tiles: list[tuple[int, int]]) -> NDArray[np.int64]:
    """What may be among the first of each query in a part of the gallery: B × room keys, empty places last."""
    rows, n = scorer.read(at.start, at.stop), at.stop - at.start
    keys = np.full((n, 4 * int(wanted.max()) + 256), NOTHING)
    filled, threshold = np.zeros(n, dtype=np.int64), np.full(n, LOWEST, dtype=np.float32)
    room = np.empty((n, max(b - a for a, b in tiles)), dtype=np.float32)
    for first, last in tiles:
        tile = room[:, : last - first]
        scorer.tile(rows, first, last, tile)
        if not take_tile(tile, first, job.paths.skip[at], wanted, keys, filled, threshold):
            scorer.refuse(at.start, tile, first)
    keys[np.arange(keys.shape[1]) >= filled[:, None]] = NOTHING
    return keys


def _measure_top(job: Job, at: slice, wanted: Ints, keys: NDArray[np.int64]) -> None:
    """Measure queries from their candidates."""
    out = np.empty((len(keys), job.width))
    matching = job.paths.gallery, job.query[at], job.paths.counts(at)
    score_tops(keys, wanted, *matching, job.table, job.cuts, out, job.into.tied[at])
    job.into.values[at] = out[:, job.chosen]
