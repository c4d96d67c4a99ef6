"""What an entry is good and bad at: its score label by label, beside what the others of its ranking reach there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hierlandmarks.metrics.relevance import Floats


@dataclass(frozen=True)
class Strength:
    """A label of queries.

    Attributes:
        label: its name.
        queries: how many have it.
        value: mean score of the entry on them.
        median: of the means of all entries of the ranking.
        best: the highest of them.
    """

    label: str
    queries: int
    value: float
    median: float
    best: float


def strengths(labels: Sequence[str], values: Floats) -> list[list[Strength]]:
    """Scores by label for every entry of a ranking, an entry's weakest label first.

    Args:
        labels: Q names, "" for none, which is left out.
        values: Q × n scores, a column an entry; NaN counts for nothing.

    Complexity: O(Q · n).
    """
    names, codes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    defined = np.isfinite(values)
    member = codes[None, :] == np.arange(len(names))[:, None]
    counts = member @ defined.astype(np.float64)
    with np.errstate(invalid="ignore"):
        means = (member @ np.where(defined, values, 0.0)) / counts
    rows = [row for row, name in enumerate(names) if name and np.isfinite(means[row]).any()]
    middle, best = (dict(zip(rows, f(means[rows], axis=1), strict=True)) for f in (np.nanmedian, np.nanmax))
    found = []
    for column in range(values.shape[1]):
        mine = [
            Strength(
                str(names[row]), int(counts[row, column]), *map(float, (means[row, column], middle[row], best[row]))
            )
            for row in rows
            if np.isfinite(means[row, column])
        ]
        found.append(sorted(mine, key=lambda strength: (strength.value, strength.label)))
    return found
