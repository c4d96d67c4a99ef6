"""Both back ends against the slow twins, item by item, with ties, empty labels, self-matches and every depth."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from hierlandmarks.metrics import evaluate_embeddings, evaluate_rankings, evaluate_scores
from tests.reference import metrics as twins

BACKENDS = ("numpy", "compiled")


def make(depth: int, whole: bool, own_gallery: bool, seed: int = 0, n: int = 17, size: int = 160) -> dict[str, Any]:
    """Embeddings (whole numbers make ties) and labels of a tree with some empty ones."""
    rng = np.random.default_rng(seed)

    def vectors(rows: int) -> np.ndarray:
        drawn = rng.integers(-1, 2, (rows, 4)) if whole else rng.standard_normal((rows, 4))
        return drawn.astype(np.float32)

    def labels(rows: int) -> np.ndarray:
        leaf = rng.integers(0, 3 * 2**depth, rows)
        tree = np.stack([leaf >> c for c in range(depth)], axis=1)
        tree[rng.random(rows) < 0.1, -1] = -1
        return tree

    data: dict[str, Any] = {"query": vectors(n), "query_labels": labels(n), "query_ids": np.arange(n) * 3}
    if own_gallery:
        data |= {"gallery": vectors(size), "gallery_labels": labels(size), "gallery_ids": np.arange(size)}
    return data


def expected(data: dict[str, Any], weights: list[Fraction] | None = None) -> list[dict[str, float]]:
    """Rows of the slow twins."""
    gallery, labels = data.get("gallery", data["query"]), data.get("gallery_labels", data["query_labels"])
    ids = data.get("gallery_ids", data["query_ids"]).tolist()
    rows = []
    for vector, mine, name in zip(data["query"], data["query_labels"], data["query_ids"], strict=True):
        levels = [twins.level_of_pair(mine, theirs) for theirs in labels]
        skip = ids.index(name) if name in ids else -1
        order = twins.ranking(gallery @ vector, levels, skip)
        depth = labels.shape[1]
        relevance = twins.proportional(order, depth) if weights is None else twins.decomposed(order, depth, weights)
        rows.append(twins.every_metric(order, depth, relevance))
    return rows


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("own_gallery", [True, False])
@pytest.mark.parametrize(("depth", "whole"), [(3, True), (3, False), (1, True), (5, True), (8, True)])
def test_every_metric_is_its_twin(depth: int, whole: bool, own_gallery: bool, backend: Any) -> None:
    data = make(depth, whole, own_gallery)
    report = evaluate_embeddings(**data, backend=backend, resamples=1)
    for i, row in enumerate(expected(data)):
        found = report.per_query.iloc[i, 2:].to_dict()
        assert found.keys() == row.keys()
        np.testing.assert_allclose(list(found.values()), list(row.values()), rtol=0, atol=1e-12, err_msg=str(i))


@pytest.mark.parametrize("backend", BACKENDS)
def test_decomposed_relevance(backend: Any) -> None:
    data = make(3, True, True)
    weights = [Fraction(1, 5), Fraction(3, 10), Fraction(1, 2)]
    report = evaluate_embeddings(
        **data, relevance="decomposed", weights=[float(w) for w in weights], backend=backend, resamples=1
    )
    rows = [row["h_ap"] for row in expected(data, weights)]
    np.testing.assert_allclose(report.per_query["h_ap"], rows, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_first_ranks_alone_give_the_same(backend: Any) -> None:
    """Counting instead of sorting, where only the first ranks matter."""
    rng = np.random.default_rng(3)
    leaf, mine = rng.integers(0, 900, 5000), rng.integers(0, 900, 40)
    data = {
        "query": rng.integers(-3, 4, (40, 8)).astype(np.float32),
        "query_labels": np.stack([mine, mine // 30], axis=1),
        "gallery": rng.integers(-3, 4, (5000, 8)).astype(np.float32),
        "gallery_labels": np.stack([leaf, leaf // 30], axis=1),
        "query_ids": np.arange(40),
        "gallery_ids": np.arange(5000),
    }
    metrics = ("ndcg_at", "tree_distance_at", "map_at_r", "map_at", "recall_at", "precision_at")
    top = evaluate_embeddings(**data, metrics=metrics, backend=backend, resamples=1)
    whole = evaluate_embeddings(**data, backend="numpy", resamples=1)
    np.testing.assert_allclose(top.per_query[top.columns], whole.per_query[top.columns], rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_scores_all_equal_rank_by_position(backend: Any) -> None:
    labels = np.array([0, 1, 0, 1, 1])
    report = evaluate_scores(np.zeros((5, 5)), labels, backend=backend, resamples=1, tie_range=True)
    assert report.per_query["ap_0"].tolist() == pytest.approx(
        [1 / 2, (1 / 3 + 2 / 4) / 2, 1, (1 / 2 + 2 / 4) / 2, 1 / 2]
    )
    assert report.ties["share"] == 1.0
    assert report.ties["optimistic"]["ap_0"] == 1.0
    assert report.ties["pessimistic"]["ap_0"] < report.mean["ap_0"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_negative_zero_ties_with_zero(backend: Any) -> None:
    scores = np.array([[0.0, -0.0, 0.0]], dtype=np.float32)
    report = evaluate_scores(scores, np.array([1]), np.array([0, 1, 0]), backend=backend, resamples=1)
    assert report.mean["ap_0"] == 0.5


def test_scores_too_far_apart_for_the_kernel_are_still_exact() -> None:
    """A score of 1e-30 beside one of 1 does not fit the compiled records: those queries go to numpy."""
    rng = np.random.default_rng(1)
    scores = rng.standard_normal((4, 300)) * 10.0 ** rng.integers(-37, 1, (4, 300))
    labels = rng.integers(0, 3, (4, 1)), rng.integers(0, 3, (300, 1))
    rows = [evaluate_scores(scores, *labels, backend=b, resamples=1).per_query for b in BACKENDS]
    np.testing.assert_allclose(rows[0].iloc[:, 2:], rows[1].iloc[:, 2:], rtol=0, atol=1e-12)


def test_ranked_lists_give_the_same_as_embeddings() -> None:
    data = make(3, True, True)
    report = evaluate_embeddings(**data, resamples=1)
    scores = data["query"] @ data["gallery"].T
    rows = np.argsort(-scores, axis=1, kind="stable")
    labels = {name: data[name] for name in ("query_labels", "gallery_labels", "query_ids", "gallery_ids")}
    by_row = evaluate_rankings(rows, **labels, resamples=1)
    by_id = evaluate_rankings(
        {int(q): rows[i].tolist() for i, q in enumerate(data["query_ids"])}, **labels, resamples=1
    )
    for other in (by_row, by_id):
        np.testing.assert_allclose(other.per_query.iloc[:, 2:], report.per_query.iloc[:, 2:], rtol=0, atol=1e-12)


def test_a_list_that_stops_early_loses_what_it_leaves_out() -> None:
    report = evaluate_rankings(np.array([[0, -1]]), np.array([5]), np.array([5, 5, 6]), resamples=1)
    assert report.mean["ap_0"] == 0.5
    assert report.mean["recall_at_1_0"] == 1.0
    assert report.mean["tree_distance_at_10"] == 0.0
