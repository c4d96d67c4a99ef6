"""Which neighbours in a ranking cannot be told apart: paired permutation tests, corrected for their number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from hierlandmarks.metrics.confidence import permutation_test
from hierlandmarks.metrics.relevance import Floats

LEVEL = 0.05  # chance of calling any two equal neighbours different
PERMUTATIONS = 10_000


def groups(values: Floats) -> list[tuple[int, int]]:
    """The first and the last place that each entry shares with neighbours.

    Each entry is compared with the next one; where the test cannot separate them, they stand in one group. Groups are
    chains: their first and last entry may well differ.

    Args:
        values: Q × n scores of the same queries, a column an entry, best entry first; NaN where not defined.

    Returns:
        n pairs of places, from 1.

    Complexity: one matrix product of permutations × Q and Q × n.
    """
    n = values.shape[1]
    apart = separated(neighbours(values)) if n > 1 else []
    edges = [0, *(i + 1 for i, is_apart in enumerate(apart) if is_apart), n]
    return [(first + 1, last) for first, last in pairwise(edges) for _ in range(last - first)]


def neighbours(values: Floats) -> list[float]:
    """The p-value of each pair of neighbouring columns, n − 1 of them; 1 where they share no query."""
    # a p-value cannot be under 1 / permutations: there have to be enough for a ranking of this length
    permutations = max(PERMUTATIONS, 40 * values.shape[1])
    found = permutation_test(values[:, :-1], values[:, 1:], permutations=permutations)
    return [comparison.p_value if comparison.n else 1.0 for comparison in found]


def separated(p_values: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Which hypotheses Holm's procedure rejects (Scandinavian Journal of Statistics 6, 1979).

    >>> separated([0.01, 0.04, 0.03])
    [True, False, False]
    """
    order = np.argsort(p_values, kind="stable")
    rejected = np.zeros(len(p_values), dtype=bool)
    for step, place in enumerate(order):
        if p_values[place] > level / (len(p_values) - step):
            break
        rejected[place] = True
    return [bool(is_rejected) for is_rejected in rejected]
