"""Which metrics to compute, what their columns are called, and one query's row of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from hierlandmarks.errors import UsageError
from hierlandmarks.metrics.average_precision import average_precision
from hierlandmarks.metrics.cut_precision import map_at_k, map_at_r
from hierlandmarks.metrics.exclusive_ap import exclusive_ap
from hierlandmarks.metrics.gain import ndcg
from hierlandmarks.metrics.hierarchical_ap import h_ap
from hierlandmarks.metrics.precision import precision_at
from hierlandmarks.metrics.ranking import Ranked
from hierlandmarks.metrics.recall import recall_at
from hierlandmarks.metrics.relevance import KINDS, Floats, Ints, check_weights, relevance_of_levels
from hierlandmarks.metrics.set_intersection import asi
from hierlandmarks.metrics.tree_distance import tree_distance_at
from hierlandmarks.params import nearest

GRADED = ("h_ap", "ndcg", "asi", "ndcg_at", "tree_distance_at")
BINARY = ("ap", "ap_exclusive", "map_at_r", "map_at", "recall_at", "precision_at")
PREFIX = ("ndcg_at", "tree_distance_at", "map_at_r", "map_at", "recall_at", "precision_at")


@dataclass(frozen=True)
class Cutoffs:
    """The ranks at which metrics "@k" are cut, each ≥ 1."""

    ndcg_at: tuple[int, ...] = (10, 100)
    tree_distance_at: tuple[int, ...] = (1, 10)
    map_at: tuple[int, ...] = (100,)
    recall_at: tuple[int, ...] = (1, 4, 10)
    precision_at: tuple[int, ...] = (1, 10)


@dataclass(frozen=True)
class Plan:
    """The metrics of an evaluation: what every back end computes, in one order of columns.

    Attributes:
        depth: L, the number of label columns.
        relevance: `proportional` or `decomposed`, for H-AP.
        alpha: exponent of `proportional`.
        weights: w_1 … w_L of `decomposed`, coarsest level first.
        metrics: families of metrics, from `GRADED` and `BINARY`.
        label_columns: the label columns, 0 = finest, that binary metrics are computed for; all by default.
        cutoffs: where metrics "@k" are cut.
    """

    depth: int
    relevance: str = "proportional"
    alpha: float = 1.0
    weights: tuple[float, ...] | None = None
    metrics: tuple[str, ...] = GRADED + BINARY
    label_columns: tuple[int, ...] | None = None
    cutoffs: Cutoffs = field(default_factory=Cutoffs)

    def __post_init__(self) -> None:
        if self.relevance not in KINDS:
            raise UsageError("unknown relevance", got=repr(self.relevance), do=nearest(self.relevance, KINDS))
        if self.relevance == "decomposed":
            check_weights(self.weights, self.depth)
        elif self.weights is not None:
            raise UsageError("weights belong to the decomposed relevance", got=f"relevance={self.relevance!r}")
        if not self.alpha >= 0:
            raise UsageError("alpha is out of range", got=self.alpha, expected="a number ≥ 0")
        for name in self.metrics:
            if name not in GRADED + BINARY:
                raise UsageError("unknown metric", got=repr(name), do=nearest(name, GRADED + BINARY))
        for column in self.label_columns or ():
            if not 0 <= column < self.depth:
                raise UsageError("no such label column", got=column, expected=f"0 to {self.depth - 1}, 0 = finest")
        if any(k < 1 for ks in vars(self.cutoffs).values() for k in ks):
            raise UsageError("a cutoff is out of range", got=self.cutoffs, expected="ranks ≥ 1")

    @property
    def binary_columns(self) -> tuple[int, ...]:
        """The label columns of binary metrics, finest first."""
        return tuple(range(self.depth)) if self.label_columns is None else self.label_columns

    def cuts(self, family: str) -> tuple[int, ...]:
        """The cutoffs of a family, none where it was not asked for."""
        ks: tuple[int, ...] = getattr(self.cutoffs, family)
        return ks if family in self.metrics else ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names, in the order of `row`."""
        names: list[str] = [name for name in ("h_ap", "ndcg", "asi") if name in self.metrics]
        names += [f"{family}_{k}" for family in ("ndcg_at", "tree_distance_at") for k in self.cuts(family)]
        for c in self.binary_columns:
            names += [f"{name}_{c}" for name in ("ap", "ap_exclusive", "map_at_r") if name in self.metrics]
            names += [
                f"{family}_{k}_{c}" for family in ("map_at", "recall_at", "precision_at") for k in self.cuts(family)
            ]
        return tuple(names)

    def prefix(self, counts: Ints) -> Ints | None:
        """How many top ranks decide every metric asked for, for each query, or None where only the whole ranking does.

        Args:
            counts: … × (L + 1) integers, items of each exact level.
        """
        if not set(self.metrics) <= set(PREFIX):
            return None
        cuts = max((k for family in vars(self.cutoffs) for k in self.cuts(family)), default=1)
        depth = np.full(counts.shape[:-1], cuts, dtype=np.int64)
        if "map_at_r" in self.metrics:
            positives = [counts[..., self.depth - c :].sum(axis=-1) for c in self.binary_columns]
            depth = np.maximum.reduce([depth, *positives])
        return depth


def row(plan: Plan, ranked: Ranked, counts: Ints) -> Floats:
    """The metrics of one query, in the order of `plan.columns`; NaN where one is not defined.

    Args:
        plan: what to compute.
        ranked: ranks and levels of the retrieved relevant items.
        counts: L + 1 integers, the gallery's items of each exact level, the query itself left out.
    """
    ranks, levels = ranked.ranks, ranked.levels
    values: list[float] = []
    if "h_ap" in plan.metrics:
        weight = relevance_of_levels(counts, plan.relevance, plan.alpha, plan.weights)
        values.append(h_ap(ranks, levels, counts, weight))
    if "ndcg" in plan.metrics:
        values.append(ndcg(ranks, levels, counts))
    if "asi" in plan.metrics:
        values.append(asi(ranks, levels, counts))
    values += [ndcg(ranks, levels, counts, k) for k in plan.cuts("ndcg_at")]
    values += [tree_distance_at(ranks, levels, plan.depth, ranked.size, k) for k in plan.cuts("tree_distance_at")]
    for c in plan.binary_columns:
        values += _binary(plan, ranked, counts, plan.depth - c)
    return np.array(values)


def _binary(plan: Plan, ranked: Ranked, counts: Ints, level: int) -> list[float]:
    positive = ranked.ranks[ranked.levels >= level]
    n = int(counts[level:].sum())
    values: list[float] = []
    if "ap" in plan.metrics:
        values.append(average_precision(positive, n))
    if "ap_exclusive" in plan.metrics:
        values.append(exclusive_ap(ranked.ranks, ranked.levels, counts, level))
    if "map_at_r" in plan.metrics:
        values.append(map_at_r(positive, n))
    cut: Sequence[tuple[str, Callable[[Ints, int, int], float]]]
    cut = (("map_at", map_at_k), ("recall_at", recall_at), ("precision_at", precision_at))
    return values + [metric(positive, n, k) for family, metric in cut for k in plan.cuts(family)]
