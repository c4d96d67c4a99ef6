"""The loop over blocks: scores of a block of queries against the whole gallery, ranked and measured, then forgotten.

Full-ranking metrics need the order of one query's gallery at a time, so all that is kept of gallery size is a block
of score rows: `block_rows` of them, about 52 MB where the gallery allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.errors import UsageError
from hierlandmarks.metrics.columns import Plan, row
from hierlandmarks.metrics.levels import Paths
from hierlandmarks.metrics.ranking import Ranked, Scores, Ties, ordinals, rank
from hierlandmarks.metrics.relevance import Floats
from hierlandmarks.metrics.scorers import Scorer, blocks
from hierlandmarks.metrics.threads import in_threads, one_blas_thread

Backend = Literal["auto", "numpy", "compiled"]

WORTH_COMPILING = 20_000_000  # scores; fewer are ranked by numpy before numba is loaded


@dataclass(frozen=True)
class Measured:
    """What the loop returns: Q × C metrics, and for each query whether ties between levels touch it."""

    values: Floats
    tied: NDArray[np.bool_]


def choose_backend(backend: Backend, work: int) -> Literal["numpy", "compiled"]:
    """The back end to use for `work` scores.

    Raises:
        UsageError: an unknown one, or `compiled` without numba.
    """
    if backend not in ("auto", "numpy", "compiled"):
        raise UsageError("unknown backend", got=repr(backend), expected="auto, numpy or compiled")
    there = find_spec("numba") is not None
    if backend == "compiled" and not there:
        raise UsageError("the compiled backend needs numba", do="pip install numba, or take backend='numpy'")
    return (
        "compiled" if there and backend != "numpy" and (backend == "compiled" or work >= WORTH_COMPILING) else "numpy"
    )


def measure(scorer: Scorer, paths: Paths, plan: Plan, ties: Ties = "position", backend: Backend = "auto") -> Measured:
    """Every metric of a plan for every query.

    Args:
        scorer: yields blocks of scores.
        paths: who matches whom.
        plan: what to compute.
        ties: the order among equal scores.
        backend: `compiled` needs numba; `auto` takes it where it is installed and worth its start. The values are
            equal.

    Raises:
        UsageError: see `choose_backend`.
        CorruptInputError: scores that are not finite, naming the first offending row.
    """
    n, size = paths.query.shape[1], paths.gallery.shape[1]
    measured = Measured(np.empty((n, len(plan.columns))), np.zeros(n, dtype=bool))
    chosen = choose_backend(backend, n * size)
    with one_blas_thread():
        if chosen == "compiled":
            from hierlandmarks.metrics.compiled import blocks as compiled

            compiled.measure(scorer, paths, plan, ties, measured)
        else:
            _measure_in_numpy(scorer, paths, plan, ties, measured)
    return measured


def _measure_in_numpy(scorer: Scorer, paths: Paths, plan: Plan, ties: Ties, measured: Measured) -> None:
    for start, block in blocks(scorer):

        def one(query: int, start: int = start, block: Scores = block) -> bool:
            return measure_query(block[query - start], query, paths, plan, ties, measured)

        if not all(in_threads(one, range(start, start + len(block)))):
            scorer.refuse(start, block)


def measure_query(scores: Scores, query: int, paths: Paths, plan: Plan, ties: Ties, into: Measured) -> bool:
    """Rank and measure one query in numpy; False where its scores are not all finite."""
    if not np.isfinite(scores).all():
        return False
    ranked = rank_query(scores, paths, query, plan, ties)
    into.values[query] = row(plan, ranked, paths.counts(query))
    into.tied[query] = ranked.tied
    return True


def rank_query(scores: Scores, paths: Paths, query: int, plan: Plan, ties: Ties) -> Ranked:
    """Rank one query's gallery: all of it, or its top where that decides every metric asked for."""
    skip = int(paths.skip[query])
    prefix = plan.prefix(paths.counts(query))
    if prefix is None or 4 * int(prefix) >= len(scores):
        return rank(scores, paths.levels(query), skip, ties)
    key = ordinals(scores)
    last = int(prefix) + 1  # one more than needed, for the query may be among them
    rows = np.flatnonzero(key <= np.partition(key, last)[last])
    place = int(np.searchsorted(rows, skip))
    here = place if place < len(rows) and rows[place] == skip else -1
    return rank(scores[rows], paths.levels(query, rows), here, ties, int(prefix))
