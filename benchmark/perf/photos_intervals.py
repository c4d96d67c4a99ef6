"""Three intervals of one mean, each for another question: train again, ask other photos, ask about other landmarks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.metrics.confidence import bootstrap

Floats = NDArray[np.float64]
RESAMPLES = 10_000


def over_seeds(means: Floats) -> tuple[float, float]:
    """95 % t-interval of the mean of runs that differ in the seed only; NaN for fewer than two runs.

    What training again would give on the same photos (Musgrave et al., arXiv 2003.08505, report this one).
    """
    from scipy.stats import t

    if len(means) < 2:
        return np.nan, np.nan
    half = t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / np.sqrt(len(means))
    return float(means.mean() - half), float(means.mean() + half)


def over_queries(values: Floats) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of Q values, as if every photo were a draw of its own."""
    low, high = bootstrap(values[:, None], np.zeros(len(values), np.int64), RESAMPLES)[0]
    return float(low), float(high)


def over_landmarks(values: Floats, landmarks: NDArray[np.int64], seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of Q values, whole landmarks drawn with replacement (cluster bootstrap).

    Photos of a landmark are found or missed together, so this is the interval for landmarks nobody has seen yet. As in
    the other two, only the queries are drawn: what they are looked for in stays.
    """
    _, owner, sizes = np.unique(landmarks, return_inverse=True, return_counts=True)
    sums, count = np.bincount(owner, values), len(sizes)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    low, high = np.quantile(drawn @ sums / (drawn @ sizes), (0.025, 0.975))
    return float(low), float(high)
