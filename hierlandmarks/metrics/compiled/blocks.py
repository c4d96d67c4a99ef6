"""The compiled side of `engine.measure`: blocks of score rows cut into pieces for the threads."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from hierlandmarks.metrics import engine
from hierlandmarks.metrics.columns import BINARY, GRADED, Plan
from hierlandmarks.metrics.compiled.rows import OPTIMISTIC, PESSIMISTIC, POSITION, score_rows
from hierlandmarks.metrics.compiled.score import tables
from hierlandmarks.metrics.compiled.sort import DONE, INEXACT, NOT_FINITE
from hierlandmarks.metrics.levels import Paths
from hierlandmarks.metrics.ranking import Scores, Ties
from hierlandmarks.metrics.relevance import relevance_of_levels
from hierlandmarks.metrics.scorers import Scorer, balanced
from hierlandmarks.metrics.threads import in_threads, n_threads

ORDER: dict[Ties, int] = {"position": POSITION, "optimistic": OPTIMISTIC, "pessimistic": PESSIMISTIC}
PIECES = 4  # for each thread, so that none waits long for another


def measure(scorer: Scorer, paths: Paths, plan: Plan, ties: Ties, into: engine.Measured) -> None:
    """Measure every query; see `engine.measure`. Queries that the kernel cannot order exactly are done in numpy."""
    everything = replace(plan, metrics=GRADED + BINARY, label_columns=None)
    chosen = [everything.columns.index(name) for name in plan.columns]
    families = ("ndcg_at", "tree_distance_at", "map_at", "recall_at", "precision_at")
    cuts = tuple(np.array(everything.cuts(family), dtype=np.int64) for family in families)
    table = tables(paths.gallery.shape[1])
    by_query = np.ascontiguousarray(paths.query.T)
    width = len(everything.columns)

    def piece(start: int, scores: Scores) -> int:
        at = slice(start, start + len(scores))
        counts = paths.counts(at)
        relevance = relevance_of_levels(counts, plan.relevance, plan.alpha, plan.weights)
        out, tied = np.empty((len(scores), width)), into.tied[at]
        status = np.empty(len(scores), dtype=np.uint8)
        score_rows(
            scores, paths.gallery, by_query[at], paths.skip[at], counts, relevance, table, cuts, ORDER[ties], out, tied, status
        )
        into.values[at] = out[:, chosen]
        for i in np.flatnonzero(status == INEXACT):
            engine.measure_query(scores[i], start + int(i), paths, plan, ties, into)
        return int(status.max(initial=DONE))

    for start, block in scorer.blocks():
        edges = balanced(len(block), max(1, len(block) // (PIECES * n_threads())))
        pieces = [(start + a, block[a:b]) for a, b in itertools.pairwise(edges)]
        if NOT_FINITE in in_threads(lambda task: piece(*task), pieces):
            scorer.refuse(start, block)
