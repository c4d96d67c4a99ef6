"""What is refused, and how the message names the first offending row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hierlandmarks.errors import CorruptInputError, UsageError
from hierlandmarks.metrics import Cutoffs, evaluate_embeddings, evaluate_rankings, evaluate_scores


def good() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "query": rng.standard_normal((6, 4)).astype(np.float32),
        "query_labels": rng.integers(0, 3, (6, 2)),
        "gallery": rng.standard_normal((40, 4)).astype(np.float32),
        "gallery_labels": rng.integers(0, 3, (40, 2)),
        "query_ids": [f"q{i}" for i in range(6)],
        "gallery_ids": [f"g{i}" for i in range(40)],
        "resamples": 1,
    }


@pytest.mark.parametrize("backend", ["numpy", "compiled"])
@pytest.mark.parametrize("metrics", [("h_ap",), ("recall_at",)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["query", "gallery"])
def test_embeddings_that_are_not_finite(name: str, bad: float, metrics: Any, backend: Any) -> None:
    data = good()
    data[name][3, 1] = bad
    cutoffs = Cutoffs(recall_at=(1,))  # few enough to be counted instead of sorted
    with pytest.raises(CorruptInputError, match=f"{name} embeddings row 3 holds NaN"):
        evaluate_embeddings(**data, backend=backend, metrics=metrics, cutoffs=cutoffs)


@pytest.mark.parametrize("backend", ["numpy", "compiled"])
def test_scores_that_are_not_finite(backend: Any) -> None:
    scores = np.zeros((3, 5))
    scores[1, 2] = np.nan
    with pytest.raises(CorruptInputError, match="query row 1 and gallery row 2 is nan"):
        evaluate_scores(scores, np.zeros(3, int), np.zeros(5, int), backend=backend)


def test_a_score_far_along_the_gallery_is_named_where_only_the_top_is_counted() -> None:
    scores = np.zeros((3, 20_000))
    scores[2, 15_000] = np.inf
    with pytest.raises(CorruptInputError, match="query row 2 and gallery row 15000 is inf"):
        evaluate_scores(scores, np.zeros(3, int), np.arange(20_000), backend="compiled", metrics=("recall_at",))


def test_a_product_that_overflows_names_the_pair() -> None:
    big, labels = np.array([[1.0], [1e30]], dtype=np.float32), np.zeros(2, int)
    with pytest.raises(CorruptInputError, match=r"query row 1 and gallery row 1 is inf.*normalise"):
        evaluate_embeddings(big, labels, big.copy(), labels)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"query_ids": ["q0", "q1", "q0", "q3", "q4", "q5"]},
            CorruptInputError,
            "query ids row 2 is repeated; got 'q0'",
        ),
        ({"gallery_ids": ["g0"] * 40}, CorruptInputError, "gallery ids row 1 is repeated"),
        ({"query_ids": ["q0", None, "q2", "q3", "q4", "q5"]}, CorruptInputError, "query ids row 1 is empty"),
        ({"gallery_ids": ["g0"]}, UsageError, "gallery ids do not fit; got 1 ids, expected 40"),
        ({"gallery_labels": np.zeros((40, 3), int)}, UsageError, "gallery labels have another depth"),
        ({"gallery_labels": np.zeros((39, 2), int)}, UsageError, "gallery labels do not fit"),
        ({"gallery_labels": np.full((40, 2), -2)}, CorruptInputError, "gallery labels row 0 is no label"),
        ({"query_labels": np.zeros((6, 2))}, UsageError, "query labels are no label array"),
        ({"gallery_labels": None}, UsageError, "a gallery needs labels"),
        (
            {"gallery": np.zeros((0, 4), np.float32), "gallery_labels": np.zeros((0, 2), int)},
            UsageError,
            "nothing to rank",
        ),
        ({"gallery": np.zeros((40, 5), np.float32)}, UsageError, "different width"),
        ({"parts": ["a"]}, UsageError, "parts do not fit"),
        ({"relevance": "linear"}, UsageError, "unknown relevance"),
        ({"weights": (0.5, 0.5)}, UsageError, "weights belong to the decomposed relevance"),
        (
            {"relevance": "decomposed", "weights": (0.5, 0.6)},
            UsageError,
            "weights of the decomposed relevance are wrong",
        ),
        ({"alpha": -1.0}, UsageError, "alpha is out of range"),
        ({"metrics": ("hap",)}, UsageError, "unknown metric.*did you mean h_ap"),
        ({"label_columns": (2,)}, UsageError, "no such label column"),
        ({"cutoffs": Cutoffs(recall_at=(0,))}, UsageError, "a cutoff is out of range"),
        ({"backend": "cuda"}, UsageError, "unknown backend"),
    ],
)
def test_arguments(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        evaluate_embeddings(**(good() | change))


def rankings(**change: Any) -> dict[str, Any]:
    data = {name: good()[name] for name in ("query_labels", "gallery_labels", "query_ids", "gallery_ids", "resamples")}
    return data | {"rankings": {f"q{i}": ["g3", "g1"] for i in range(6)} | change}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q9": ["g1"]}, "ranking of 'q9': no such query in this split"),
        ({"q2": ["g1", "x"]}, "ranking of 'q2', rank 2: 'x' is not in the gallery"),
        ({"q2": ["g1", "g2", "g1"]}, "ranking of 'q2', rank 3: 'g1' is listed twice"),
    ],
)
def test_rankings_of_ids(change: dict[str, Any], message: str) -> None:
    with pytest.raises(CorruptInputError, match=message):
        evaluate_rankings(**rankings(**change))


def test_a_query_without_a_ranking() -> None:
    data = rankings()
    del data["rankings"]["q4"]
    with pytest.raises(CorruptInputError, match="query 'q4' has no ranking"):
        evaluate_rankings(**data)
    data["rankings"]["q4"] = []
    assert evaluate_rankings(**data).per_query["ap_1"][4] == 0.0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.full((6, 2), 40), "ranking 0 names gallery row 40"),
        (np.array([[1, 2]] * 5 + [[3, 3]]), "ranking 5, rank 2: 'g3' is listed twice"),
        (np.zeros((5, 2), int), "rankings are no array"),
    ],
)
def test_rankings_of_rows(rows: np.ndarray, message: str) -> None:
    with pytest.raises((CorruptInputError, UsageError), match=message):
        evaluate_rankings(**(rankings() | {"rankings": rows}))


def test_compiled_without_numba_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hierlandmarks.metrics.engine.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="needs numba"):
        evaluate_embeddings(**good(), backend="compiled")
    assert evaluate_embeddings(**good()).provenance["backend"] == "numpy"


def test_depth_zero_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one label"):
        evaluate_scores(np.zeros((2, 2)), np.zeros((2, 0), int))
