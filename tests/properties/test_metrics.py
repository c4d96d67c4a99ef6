"""Properties of the metrics that hold for every ranking."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierlandmarks.metrics import evaluate_scores
from hierlandmarks.metrics.columns import Plan, row
from hierlandmarks.metrics.confidence import bootstrap, permutation_test
from hierlandmarks.metrics.ranking import Ranked
from hierlandmarks.metrics.relevance import relevance_of_levels
from tests.reference import metrics as twins

DEPTH = 3
PLAN = Plan(depth=DEPTH)
PERFECT = [c for c in PLAN.columns if c.startswith(("h_ap", "ndcg", "asi", "ap", "map", "recall"))]
rankings = st.lists(st.integers(0, DEPTH), min_size=1, max_size=40)


def measured(levels: list[int], plan: Plan = PLAN) -> dict[str, float]:
    array = np.array(levels, dtype=np.uint8)
    relevant = np.flatnonzero(array)
    ranked = Ranked(relevant + 1, array[relevant], len(levels))
    values = row(plan, ranked, np.bincount(array, minlength=plan.depth + 1))
    return dict(zip(plan.columns, values.tolist(), strict=True))


@given(rankings)
def test_every_metric_is_its_slow_twin(levels: list[int]) -> None:
    exact = twins.every_metric(levels, DEPTH, twins.proportional(levels, DEPTH))
    found = measured(levels)
    for name, value in exact.items():
        assert found[name] == pytest.approx(value, abs=1e-12, nan_ok=True), name


@given(rankings)
def test_bounds(levels: list[int]) -> None:
    for name, value in measured(levels).items():
        top = DEPTH if name.startswith("tree_distance") else 1
        assert np.isnan(value) or -1e-12 <= value <= top + 1e-12, name


@given(rankings)
def test_a_perfect_ranking_scores_one(levels: list[int]) -> None:
    weights = (0.2, 0.3, 0.5)
    best = sorted(levels, reverse=True)
    found = measured(best, Plan(depth=DEPTH, relevance="decomposed", weights=weights))
    for name in PERFECT:
        assert np.isnan(found[name]) or found[name] == pytest.approx(1.0, abs=1e-12), name


@given(rankings, st.data())
def test_bringing_a_better_item_up_never_hurts(levels: list[int], data: st.DataObject) -> None:
    """With the monotone relevance; AP#l apart, which takes items out first."""
    plan = Plan(depth=DEPTH, relevance="decomposed")
    at = data.draw(st.integers(0, len(levels) - 1))
    swapped = list(levels)
    if at + 1 < len(levels) and levels[at] < levels[at + 1]:
        swapped[at], swapped[at + 1] = swapped[at + 1], swapped[at]
    before, after = measured(levels, plan), measured(swapped, plan)
    for name, value in before.items():
        if np.isnan(value) or "exclusive" in name:
            continue
        if name.startswith("tree_distance"):
            assert after[name] <= value + 1e-12, name
        else:
            assert after[name] >= value - 1e-12, name


@given(st.lists(st.integers(0, 1), min_size=1, max_size=40))
def test_binary_h_ap_is_ap(levels: list[int]) -> None:
    found = measured(levels, Plan(depth=1))
    assert found["h_ap"] == pytest.approx(found["ap_0"], abs=1e-12, nan_ok=True)


@given(rankings, st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9)))
def test_decomposed_h_ap_is_the_weighted_mean_of_ap(levels: list[int], parts: tuple[int, int, int]) -> None:
    """H-AP = Σ_p w_p · AP_p, levels without positives adding nothing above or below the line."""
    weights = [Fraction(part, sum(parts)) for part in parts]
    counts = np.bincount(levels, minlength=DEPTH + 1)
    found = measured(levels, Plan(depth=DEPTH, relevance="decomposed", weights=tuple(float(w) for w in weights)))
    ap = [found[f"ap_{DEPTH - p}"] for p in range(1, DEPTH + 1)]
    there = [float(w) if counts[p:].sum() else 0.0 for p, w in enumerate(weights, start=1)]
    if sum(there) == 0:
        assert np.isnan(found["h_ap"])
    else:
        want = sum(w * a for w, a in zip(there, ap, strict=True) if w) / sum(there)
        assert found["h_ap"] == pytest.approx(want, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(rankings, st.integers(0, 2**32 - 1))
def test_order_among_equals_and_the_way_in_do_not_matter(levels: list[int], seed: int) -> None:
    """Shuffling a gallery of distinct scores changes nothing, whichever back end ranks it."""
    rng = np.random.default_rng(seed)
    labels = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]])[[3 - level for level in levels]]
    scores = -np.arange(len(levels), dtype=np.float32)[None]
    order = rng.permutation(len(levels))
    for backend in ("numpy", "compiled"):
        report = evaluate_scores(
            scores[:, order], np.zeros((1, 3), dtype=int), labels[order], backend=backend, resamples=1
        )
        found = report.per_query.iloc[0, 2:].to_dict()
        for name, value in measured(levels).items():
            assert found[name] == pytest.approx(value, abs=1e-12, nan_ok=True), name


@given(st.lists(st.integers(0, 500), min_size=4, max_size=4))
def test_decomposed_relevance_never_falls_with_the_level(counts: list[int]) -> None:
    relevance = relevance_of_levels(np.array(counts), "decomposed")
    assert (np.diff(relevance) >= 0).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 60), st.integers(0, 1000))
def test_intervals_hold_the_mean_and_grow_with_nothing(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.random((n, 2))
    values[:, 1] = 0.25
    low, high = bootstrap(values, rng.integers(0, 2, n), resamples=400, seed=seed).T
    assert low[0] <= values[:, 0].mean() + 0.05
    assert high[0] >= values[:, 0].mean() - 0.05
    assert low[1] == high[1] == pytest.approx(0.25)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(0, 1000))
def test_a_system_never_differs_from_itself(n: int, seed: int) -> None:
    values = np.random.default_rng(seed).random((n, 1))
    assert permutation_test(values, values, permutations=100, seed=seed)[0].p_value == 1.0
