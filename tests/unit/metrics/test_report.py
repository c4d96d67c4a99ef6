"""The report: means and what they leave out, error bars, and every form it is written in."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from hierlandmarks.errors import CorruptInputError, UsageError
from hierlandmarks.metrics import Report, evaluate_scores
from hierlandmarks.metrics.confidence import bootstrap, permutation_test
from hierlandmarks.metrics.report import summarise


@pytest.fixture
def report() -> Report:
    """Six queries in two parts; two of them have no positive for `b`, and none has one for `c`."""
    frame = pd.DataFrame(
        {
            "query_id": list("uvwxyz"),
            "part": ["Public"] * 2 + ["Private"] * 4,
            "a": [0.0, 0.5, 0.25, 1.0, 0.75, 0.5],
            "b": [1.0, np.nan, 0.5, 0.5, np.nan, 0.0],
            "c": [np.nan] * 6,
        }
    )
    return summarise(
        frame, ties={"share": 0.5}, settings={"alpha": 1.0}, provenance={"backend": "numpy"}, resamples=500
    )


def test_means_leave_undefined_queries_out_and_count_them(report: Report) -> None:
    assert report.mean["a"] == 0.5
    assert report.mean["b"] == 0.5
    assert math.isnan(report.mean["c"])
    assert report.skipped == {"a": 0, "b": 2, "c": 6}
    assert report.parts["Public"]["a"] == 0.25
    assert report.parts["Private"]["a"] == 0.625


def test_intervals_hold_the_mean(report: Report) -> None:
    low, high = report.confidence["a"]
    assert 0 <= low < 0.5 < high <= 1
    assert all(math.isnan(bound) for bound in report.confidence["c"])


@pytest.mark.parametrize("per_query", [True, False])
def test_json_comes_back(report: Report, per_query: bool) -> None:
    text = report.to_json(per_query=per_query)
    assert "NaN" not in text
    again = Report.from_json(text)
    assert again.to_json(per_query=per_query) == text
    if per_query:
        pd.testing.assert_frame_equal(again.per_query, report.per_query)
    else:
        assert list(again.per_query.columns) == list(report.per_query.columns)


def test_a_folder_comes_back(report: Report, tmp_path) -> None:
    report.save(tmp_path / "out")
    again = Report.load(tmp_path / "out")
    assert again.to_json() == report.to_json()
    pd.testing.assert_frame_equal(again.per_query, report.per_query)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["per_query.parquet", "report.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', json.dumps({"format": 1, "mean": 3})])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(CorruptInputError, match="report"):
        Report.from_json(text)


def test_text_csv_and_latex(report: Report) -> None:
    assert "50.00" in report.to_text()
    assert "(2 skipped)" in report.to_text()
    assert "ties between levels touch 50.0 %" in report.to_text()
    assert report.to_csv().splitlines()[0] == "metric,mean,low,high,queries,skipped"
    row = report.to_latex(["a"], name="ours")
    assert row.startswith(r"ours & $50.0_{\pm ")
    assert row.endswith(r" \\")
    with pytest.raises(UsageError, match="no such metric"):
        report.to_latex(["d"])


def test_a_report_compares_with_another_by_query_id(report: Report) -> None:
    frame = report.per_query.sample(frac=1, random_state=0).reset_index(drop=True)
    frame["a"] += 0.25
    other = summarise(frame, ties={}, settings={}, provenance={}, resamples=10)
    found = report.compare(other, permutations=2000)
    assert found["a"].difference == pytest.approx(0.25)
    assert found["a"].p_value == pytest.approx(2 / 2**6, abs=0.02)  # of 64 sign patterns, two are as extreme
    assert found["b"].p_value == 1.0
    assert found["b"].n == 4
    assert math.isnan(found["c"].p_value)


def test_reports_of_other_queries_are_refused(report: Report) -> None:
    frame = report.per_query.assign(query_id=list("uvwxyq"))
    other = summarise(frame, ties={}, settings={}, provenance={}, resamples=10)
    with pytest.raises(UsageError, match="not of the same queries"):
        report.compare(other)


def test_the_bootstrap_is_the_textbook_one() -> None:
    """Against resampling by index, query by query, in numpy."""
    rng = np.random.default_rng(0)
    values, parts = rng.random((80, 1)), np.repeat([0, 1], [30, 50])
    values[parts == 1] += 3.0
    drawn = [
        np.concatenate([rng.choice(values[parts == part, 0], (parts == part).sum()) for part in (0, 1)]).mean()
        for _ in range(4000)
    ]
    want = np.quantile(drawn, (0.025, 0.975))
    found = bootstrap(values, parts, resamples=4000)[0]
    np.testing.assert_allclose(found, want, atol=0.01)
    unstratified = bootstrap(values, np.zeros(80, dtype=np.int64), resamples=4000)[0]
    assert np.ptp(unstratified) > 2 * np.ptp(found)


def test_error_bars_follow_the_seed_and_not_the_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    values, parts = np.random.default_rng(0).random((50, 3)), np.zeros(50, dtype=np.int64)
    first = bootstrap(values, parts, resamples=120, seed=1)
    assert (first == bootstrap(values, parts, resamples=120, seed=1)).all()
    assert (first != bootstrap(values, parts, resamples=120, seed=2)).any()
    monkeypatch.setattr("hierlandmarks.metrics.confidence.WORTH_COMPILING", 1)
    assert (first == bootstrap(values, parts, resamples=120, seed=1)).all()


def test_the_permutation_test_finds_the_exact_p_value() -> None:
    """Five differences: 32 sign patterns, counted by hand."""
    difference = np.array([0.5, 0.25, 0.125, -0.0625, 0.03125])
    patterns = np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1).T
    exact = (np.abs(patterns @ difference) >= difference.sum() - 1e-12).mean()
    found = permutation_test(np.zeros((5, 1)), difference[:, None], permutations=20_000)[0]
    assert found.p_value == pytest.approx(exact, abs=0.01)
    assert found.difference == pytest.approx(difference.mean())


def test_a_report_says_what_it_takes_to_make_it_again() -> None:
    scores, labels = np.random.default_rng(0).random((4, 4)), np.array([[0, 0], [0, 0], [1, 0], [1, 0]])
    report = evaluate_scores(scores, labels, parts=["a", "a", "b", "b"], seed=3, resamples=20)
    assert report.settings["seed"] == 3
    assert report.settings["relevance"] == "proportional"
    assert len(report.provenance["labels_sha256"]) == 64
    assert report.provenance["backend"] == "numpy"
    assert set(report.parts) == {"a", "b"}
