"""The gains of `criteria` with their slopes, for the compiled loops: one item at a time."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hierlandmarks_benchmark.losses.compiled_layout import Array
from hierlandmarks_benchmark.losses.compiled_math import jit
from hierlandmarks_benchmark.losses.criteria import Criterion, HAPCriterion, NDCGCriterion, RecallCriterion

_HAP, _NDCG, _RECALL = range(3)


class Rule(NamedTuple):
    """A criterion as numba takes it."""

    kind: int
    ks: Array  # of recall, float64
    temperature: float


def rule_of(criterion: Criterion) -> Rule:
    """The criterion for compiled loops.

    Raises:
        TypeError: a criterion without compiled gains.
    """
    if isinstance(criterion, RecallCriterion):
        return Rule(_RECALL, np.array(criterion.ks, float), criterion.temperature)
    kinds = {HAPCriterion: _HAP, NDCGCriterion: _NDCG}
    if type(criterion) not in kinds:
        raise TypeError(f"no compiled gains for {type(criterion).__name__}")
    return Rule(kinds[type(criterion)], np.empty(0), 1.0)


@jit
def gain(rule: Rule, shares: Array, level: int, rank: float, hrank: float) -> tuple[float, float, float]:
    """Gain of an item, d gain/d rank and d gain/d hrank."""
    if rule.kind == _HAP:
        value = shares[0] * hrank / rank
        return value, -value / rank, shares[0] / rank
    if rule.kind == _NDCG:
        logarithm = math.log(1.0 + rank)
        value = shares[0] * (2.0**level - 1.0) * math.log(2.0) / logarithm
        return value, -value / (logarithm * (1.0 + rank)), 0.0
    value, slope = 0.0, 0.0
    for n in range(rule.ks.size):
        near = 1.0 / (1.0 + math.exp((rank - rule.ks[n]) / rule.temperature))
        value += shares[n] * near
        slope -= shares[n] * near * (1.0 - near) / rule.temperature
    return value, slope, 0.0
