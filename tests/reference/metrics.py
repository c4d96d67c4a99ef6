"""Slow twins of the metrics: item by item, straight from the definitions, one ranking at a time.

A ranking is a list of levels, best first, of the whole gallery without the query. With `Fraction` relevances nothing is
rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np

Levels = Sequence[int]


def level_of_pair(a: Sequence[int], b: Sequence[int]) -> int:
    """Matching labels from the coarse end to the first that differs; labels fine → coarse, −1 matches nothing."""
    level = 0
    for mine, theirs in zip(reversed(list(a)), reversed(list(b)), strict=True):
        if mine != theirs or mine == -1:
            break
        level += 1
    return level


def ranking(scores: Sequence[float], levels: Levels, skip: int = -1) -> list[int]:
    """Levels by score descending in float32, ties by position."""
    items = [i for i in range(len(levels)) if i != skip]
    items.sort(key=lambda i: (-np.float32(scores[i]), i))
    return [int(levels[i]) for i in items]


def proportional(levels: Levels, depth: int) -> list[Fraction]:
    """rel(l) = (l/L) / |items of level l|."""
    return [Fraction(0)] + [
        Fraction(level, depth) / levels.count(level) if level in levels else Fraction(0)
        for level in range(1, depth + 1)
    ]


def decomposed(levels: Levels, depth: int, weights: Sequence[Fraction]) -> list[Fraction]:
    """rel(l) = Σ_{p≤l} w_p / |items of level ≥ p|."""
    out = [Fraction(0)]
    for p in range(1, depth + 1):
        n = sum(level >= p for level in levels)
        out.append(out[-1] + (weights[p - 1] / n if n else 0))
    return out


def h_ap(levels: Levels, relevance: Sequence[Fraction]) -> Fraction | None:
    total = sum(relevance[level] for level in levels)
    if not total:
        return None
    score = Fraction(0)
    for k, level in enumerate(levels):
        if level:
            h_rank = relevance[level] + sum(min(relevance[j], relevance[level]) for j in levels[:k] if j)
            score += h_rank / (k + 1)
    return score / total


def ndcg(
    levels: Levels, k: int | None = None, gain: Callable[[int], float] = lambda level: 2.0**level - 1
) -> float | None:
    def dcg(order: Levels) -> float:
        return math.fsum(gain(level) / math.log2(1 + rank) for rank, level in enumerate(order[:k], start=1))

    ideal = dcg(sorted(levels, reverse=True))
    return dcg(levels) / ideal if ideal else None


def asi(levels: Levels) -> Fraction | None:
    ideal = sorted(levels, reverse=True)
    n_relevant = sum(level > 0 for level in levels)
    if not n_relevant:
        return None
    total = Fraction(0)
    for n in range(1, n_relevant + 1):
        top, best = list(levels[:n]), list(ideal[:n])
        common = 0
        for level in top:
            if level in best:
                best.remove(level)
                common += 1
        total += Fraction(common, n)
    return total / n_relevant


def average_precision(positive: Sequence[bool]) -> Fraction | None:
    return cut_precision(positive, len(positive), sum(positive))


def cut_precision(positive: Sequence[bool], k: int, divisor: int) -> Fraction | None:
    """Terms of AP with rank ≤ k, over a divisor."""
    if not sum(positive):
        return None
    terms = [Fraction(sum(positive[: i + 1]), i + 1) for i in range(min(k, len(positive))) if positive[i]]
    return sum(terms, Fraction(0)) / divisor


def exclusive_ap(levels: Levels, level: int) -> Fraction | None:
    return average_precision([item == level for item in levels if item <= level])


def recall_at(positive: Sequence[bool], k: int) -> float | None:
    return float(any(positive[:k])) if sum(positive) else None


def precision_at(positive: Sequence[bool], k: int) -> Fraction | None:
    return Fraction(sum(positive[:k]), k) if sum(positive) else None


def tree_distance_at(levels: Levels, depth: int, k: int) -> Fraction | None:
    top = levels[:k]
    return Fraction(sum(depth - level for level in top), len(top)) if top else None


def every_metric(levels: Levels, depth: int, relevance: Sequence[Fraction]) -> dict[str, float]:
    """One query's row with the library's default columns; NaN where a metric is not defined."""
    row: dict[str, Fraction | float | None] = {
        "h_ap": h_ap(levels, relevance),
        "ndcg": ndcg(levels),
        "asi": asi(levels),
    }
    row |= {f"ndcg_at_{k}": ndcg(levels, k) for k in (10, 100)}
    row |= {f"tree_distance_at_{k}": tree_distance_at(levels, depth, k) for k in (1, 10)}
    for column in range(depth):
        positive = [level >= depth - column for level in levels]
        n = sum(positive)
        row[f"ap_{column}"] = average_precision(positive)
        row[f"ap_exclusive_{column}"] = exclusive_ap(levels, depth - column)
        row[f"map_at_r_{column}"] = cut_precision(positive, n, n)
        row[f"map_at_100_{column}"] = cut_precision(positive, 100, min(n, 100))
        row |= {f"recall_at_{k}_{column}": recall_at(positive, k) for k in (1, 4, 10)}
        row |= {f"precision_at_{k}_{column}": precision_at(positive, k) for k in (1, 10)}
    return {name: math.nan if value is None else float(value) for name, value in row.items()}
