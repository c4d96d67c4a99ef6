"""Error bars: stratified bootstrap intervals of means, and a paired permutation test between two reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.metrics.relevance import Floats
from hierlandmarks.metrics.threads import in_threads, one_blas_thread

WORTH_COMPILING = 200_000_000  # draws
CHUNK = 50  # resamples drawn together; fixed, so that results do not depend on the number of threads


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same queries.

    Attributes:
        difference: mean of the second minus mean of the first, over queries where both are defined.
        p_value: two-sided, of the paired permutation test; never 0, as the observed order counts as one of them.
        n: queries compared.
    """

    difference: float
    p_value: float
    n: int


def bootstrap(values: Floats, parts: NDArray[np.int64], resamples: int = 10_000, seed: int = 0) -> Floats:
    """95 % percentile intervals of the means of columns, queries drawn with replacement within each split part.

    One draw of queries serves every column, so intervals of different columns go together. A mean leaves NaN out, and a
    resample in which a column is nowhere defined is left out of that column's interval.

    Args:
        values: Q × C, NaN where a metric is not defined for a query.
        parts: Q integers, the split part of each query.
        resamples: how many, ≥ 1.
        seed: of the draw.

    Returns:
        C × 2, the 2.5 % and 97.5 % points; NaN for a column that is nowhere defined.

    Complexity: O(Q · resamples) draws, then one matrix product a chunk of 50 resamples. Source: Efron & Tibshirani,
    1993.
    """
    defined = np.isfinite(values)
    patterns, which = np.unique(defined, axis=1, return_inverse=True)  # columns share few patterns of NaN
    centre = np.nan_to_num(np.nanmean(np.where(defined.any(0), values, 0.0), axis=0))
    filled = np.where(defined, values - centre, 0.0)  # centred, so that float32 loses nothing that matters
    by_part = np.argsort(parts, kind="stable")
    table = np.concatenate((filled, patterns), axis=1)[by_part].astype(np.float32)
    sizes = np.unique(parts, return_counts=True)[1]
    starts = np.cumsum(sizes) - sizes
    tally = _tally(len(values) * resamples)

    def chunk(task: tuple[np.random.SeedSequence, int]) -> Floats:
        rng = np.random.Generator(np.random.SFC64(task[0]))
        drawn = np.empty((task[1], len(table)), dtype=np.float32)
        for line in drawn:
            for start, n in zip(starts, sizes, strict=True):
                tally(rng.integers(1 << 32, size=n, dtype=np.uint32), line[start : start + n])
        sums = (drawn @ table).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            means: Floats = sums[:, : values.shape[1]] / sums[:, values.shape[1] :][:, which.ravel()]
        return np.asarray(means + centre, dtype=np.float64)

    with one_blas_thread():
        means = np.concatenate(in_threads(chunk, _chunks(resamples, seed)))
    out = np.full((values.shape[1], 2), np.nan)
    some = np.isfinite(means).any(axis=0)
    out[some] = np.nanquantile(means[:, some], (0.025, 0.975), axis=0).T
    return out


def permutation_test(first: Floats, second: Floats, permutations: int = 10_000, seed: int = 0) -> list[Comparison]:
    """Paired permutation test of each column: under the null hypothesis the two scores of a query are exchangeable.

    Args:
        first: Q × C scores of one system, NaN where a metric is not defined.
        second: Q × C scores of the other on the same queries.
        permutations: random sign flips of the differences, ≥ 1.
        seed: of the flips, which every column shares.

    Returns:
        One comparison a column; NaN where no query is defined in both.

    Complexity: O(Q · permutations) random bits and one matrix product a chunk of 50. Source: Smucker et al., CIKM
    2007, with the
    add-one estimate of Phipson & Smyth, 2010.
    """
    difference = second - first
    both = np.isfinite(difference)
    filled = np.where(both, difference, 0.0)
    table = filled.astype(np.float32)

    def chunk(task: tuple[np.random.SeedSequence, int]) -> Floats:
        rng = np.random.default_rng(task[0])
        width = -(-len(table) // 8)
        bits = np.frombuffer(rng.bytes(task[1] * width), dtype=np.uint8).reshape(task[1], width)
        flips = np.unpackbits(bits, axis=1, count=len(table)).astype(np.float32)
        flips *= 2
        flips -= 1
        return (flips @ table).astype(np.float64)

    with one_blas_thread():
        sums = np.concatenate(in_threads(chunk, _chunks(permutations, seed)))
    observed = filled.sum(axis=0)
    # a relative margin, since the permuted sums are float32: counting a tie as extreme keeps the test honest
    scale = 1e-5 * np.abs(filled).sum(axis=0) / np.sqrt(np.maximum(both.sum(axis=0), 1))
    extreme = (np.abs(sums) >= np.abs(observed) - scale).sum(axis=0)
    n = both.sum(axis=0)
    return [
        Comparison(float(observed[c] / n[c]), float((1 + extreme[c]) / (1 + permutations)), int(n[c]))
        if n[c]
        else Comparison(float("nan"), float("nan"), 0)
        for c in range(len(n))
    ]


def _tally(draws: int) -> Callable[[NDArray[np.uint32], NDArray[np.float32]], None]:
    """How to count draws: compiled where that is there and worth its start; the counts are equal."""
    if draws >= WORTH_COMPILING and find_spec("numba") is not None:
        from hierlandmarks.metrics.compiled.tally import tally

        return tally
    return _tally_in_numpy


def _tally_in_numpy(raw: NDArray[np.uint32], out: NDArray[np.float32]) -> None:
    """Into `out`, n numbers, how many of the random 32-bit numbers fall into each n-th of their range."""
    n = len(out)
    out[:] = np.bincount(((raw.astype(np.uint64) * np.uint64(n)) >> np.uint64(32)).astype(np.int64), minlength=n)


def _chunks(total: int, seed: int) -> list[tuple[np.random.SeedSequence, int]]:
    """Seeds and sizes of the pieces of `total` draws, the same however many threads work on them."""
    sizes = [min(CHUNK, total - start) for start in range(0, total, CHUNK)]
    return list(zip(np.random.SeedSequence(seed).spawn(len(sizes)), sizes, strict=True))
