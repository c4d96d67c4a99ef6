"""Reliability, what may be accepted, and the blend of opinions: by hand, and against the plain formula."""

from __future__ import annotations

import numpy as np
import pytest

from hierlandmarks.errors import UsageError
from hierlandmarks_pipelines.blend import FLOOR, learn_blend, opinion
from hierlandmarks_pipelines.calibration import CURVE, accepted_share, reliability


def test_bins_hold_what_falls_into_them():
    found = reliability(np.array([0.05, 0.95, 0.85, 1.0]), np.array([False, True, False, True]), bins=10)
    assert found.counts.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 1, 2]
    assert found.right[-1] == 1
    assert found.confidence[-1] == pytest.approx(0.975)
    assert found.error == pytest.approx((0.05 + 0.85 + 2 * 0.025) / 4)


def test_the_curve_has_its_declared_columns_and_empty_cells():
    table = reliability(np.array([0.2]), np.array([True]), bins=2).table()
    assert table.schema == CURVE
    assert table.to_pylist()[1] == {"from": 0.5, "to": 1.0, "landmarks": 0, "confidence": None, "right": None}


def test_nothing_has_no_error():
    assert reliability(np.zeros(0), np.zeros(0, bool)).error == 0
    assert accepted_share(np.zeros(0), np.zeros(0, bool)) == 0


@pytest.mark.parametrize("wrong", [1.1, -0.1, float("nan")])
def test_a_confidence_out_of_range_is_refused(wrong):
    with pytest.raises(UsageError, match="cannot be compared"):
        reliability(np.array([wrong]), np.array([True]))


def test_what_is_sure_is_accepted():
    sure = np.array([0.9, 0.8, 0.7, 0.6])
    assert accepted_share(sure, np.array([True, True, False, True]), precision=0.75) == 1
    assert accepted_share(sure, np.array([True, True, False, True]), precision=0.9) == 0.5
    assert accepted_share(sure, np.array([False, True, True, True]), precision=0.9) == 0


def test_equals_are_accepted_together():
    equal = np.full(4, 0.5)
    assert accepted_share(equal, np.array([True, True, False, False]), precision=0.9) == 0


def test_an_opinion_is_bounded_and_silence_is_zero():
    said = opinion(np.array([[0.0, 1.0], [0.0, 0.0]]))
    assert said[0] == pytest.approx(np.log([FLOOR, 1 + FLOOR]))
    assert said[1].tolist() == [0, 0]


def world(rows: int = 600, labels: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A clue that is right in 8 of 10 and says so, and one that guesses with the same certainty."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(labels, size=rows)
    said = np.where(rng.random(rows) < 0.8, truth, rng.integers(labels, size=rows))
    chance = rng.integers(labels, size=rows)
    certain = np.full((2, rows, labels), 0.1 / (labels - 1))
    certain[0, np.arange(rows), said] = certain[1, np.arange(rows), chance] = 0.9
    return opinion(certain), truth


def test_the_better_clue_weighs_more_and_probabilities_are_calibrated():
    said, truth = world()
    blend = learn_blend(said, truth)
    assert blend.weights[0] > 5 * abs(blend.weights[1])
    other, answers = world(seed=1)
    p = blend.probabilities(other)
    assert p.sum(axis=1) == pytest.approx(np.ones(len(p)))
    assert reliability(p.max(axis=1), p.argmax(axis=1) == answers).error < 0.05


def test_the_learnt_blend_is_a_minimum():
    said, truth = world(200)
    blend = learn_blend(said, truth)

    def loss(weights, scales, offsets):
        scores = np.tensordot(weights, said, 1) * scales + offsets
        log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        pull = ((weights - 0.5) ** 2).sum() + 20 * ((scales - 1) ** 2).sum() + (offsets**2).sum()
        return -log_p[np.arange(200), truth].sum() + pull / 2

    best = loss(blend.weights, blend.scales, blend.offsets)
    rng = np.random.default_rng(0)
    for size in (0.01, 0.1):
        for _ in range(20):
            moved = [x + size * rng.normal(size=x.shape) for x in (blend.weights, blend.scales, blend.offsets)]
            assert loss(*moved) > best - 1e-3


def test_a_clue_never_heard_is_taken_at_its_word():
    said, truth = world()
    silent = np.concatenate([said[:1], np.zeros_like(said[:1])])
    assert learn_blend(silent, truth).weights[1] == pytest.approx(1)
