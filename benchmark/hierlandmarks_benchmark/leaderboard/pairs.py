"""Any two entries of a ranking side by side: how often each is ahead, and query by query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hierlandmarks.metrics.relevance import Floats

MOST_CELLS = 60_000  # scores in the table of queries, some ten bytes each


@dataclass(frozen=True)
class Versus:
    """An entry beside another.

    Attributes:
        other: place of the other in the ranking, from 0.
        difference: mean score minus that of the other, over the queries where both have one.
        ahead: queries where the score is higher.
        behind: queries where it is lower.
        equal: queries where it is the same.
    """

    other: int
    difference: float
    ahead: int
    behind: int
    equal: int


def versus(values: Floats) -> Iterator[list[Versus]]:
    """For every entry of a ranking, the entry beside each of the others, in their order.

    Args:
        values: Q × n scores of the same queries, a column an entry; NaN counts for nothing.

    Complexity: O(Q · n²).
    """
    for column in range(values.shape[1]):
        differences = values[:, [column]] - values
        ahead, behind, equal = (found.sum(axis=0) for found in (differences > 0, differences < 0, differences == 0))
        total = np.nansum(differences, axis=0)
        yield [
            Versus(
                other,
                float(total[other] / max(ahead[other] + behind[other] + equal[other], 1)),
                *(int(count[other]) for count in (ahead, behind, equal)),
            )
            for other in range(values.shape[1])
            if other != column
        ]


def telling(values: Floats) -> list[int]:
    """The queries that tell entries apart best, as many as a table of them may have cells; the best first.

    Args:
        values: Q × n scores; a query that has none comes last.
    """
    spread = np.nan_to_num(np.std(values, axis=1), nan=-1.0)
    order = np.argsort(-spread, kind="stable")
    return [int(query) for query in order[: max(MOST_CELLS // values.shape[1], 1)]]
