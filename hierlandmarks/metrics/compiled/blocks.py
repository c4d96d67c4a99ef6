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
from hierlandmarks.metrics.compiled.top import LOWEST, score_tops, take_tile
from hierlandmarks.metrics.levels import Paths
from hierlandmarks.metrics.ranking import Scores, Ties
from hierlandmarks.metrics.relevance import Floats, Ints, relevance_of_levels
from hierlandmarks.metrics.scorers import Scorer, balanced
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
    for start, block in scorer.blocks():

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
    """Only the first ranks, from tiles that are looked at once and forgotten."""
    size = job.paths.gallery.shape[1]
    room = 4 * int(wanted.max()) + 256
    top: _Tops | None = None
    for start, first, tile in scorer.tiles():
        if top is None or top.start != start:
            top = _Tops(job, wanted, start, len(tile), room)
        if not all(in_threads(partial(top.take, first, tile), _pieces(start, len(tile)))):
            scorer.refuse(start, tile)
        if first + tile.shape[1] == size:
            in_threads(top.finish, _pieces(start, len(tile)))


class _Tops:
    """The candidates of a block of queries, while the gallery passes by."""

    def __init__(self, job: Job, wanted: Ints, start: int, rows: int, room: int) -> None:
        self.job, self.wanted, self.start = job, wanted, start
        self.keys = np.empty((rows, room), dtype=np.int64)
        self.filled, self.threshold = np.zeros(rows, dtype=np.int64), np.full(rows, LOWEST, dtype=np.int32)

    def _mine(self, at: slice) -> slice:
        return slice(at.start - self.start, at.stop - self.start)

    def take(self, first: int, tile: Scores, at: slice) -> bool:
        """Look at one tile for some queries; False if a score is not finite."""
        mine = self._mine(at)
        state = self.keys[mine], self.filled[mine], self.threshold[mine]
        return bool(take_tile(tile[mine], first, self.job.paths.skip[at], self.wanted[at], *state))

    def finish(self, at: slice) -> None:
        """Measure some queries."""
        job, mine = self.job, self._mine(at)
        out = np.empty((at.stop - at.start, job.width))
        matching = job.paths.gallery, job.query[at], job.paths.counts(at)
        tied = job.into.tied[at]
        score_tops(self.keys[mine], self.filled[mine], self.wanted[at], *matching, job.table, job.cuts, out, tied)
        job.into.values[at] = out[:, job.chosen]
