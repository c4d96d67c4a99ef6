"""Against numbers from elsewhere: golden arrays, the official GLDv2 example, trec_eval, other libraries."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hierlandmarks.metrics import Cutoffs, evaluate_embeddings, evaluate_gldv2, evaluate_run, evaluate_scores
from hierlandmarks.metrics.gain import ndcg
from hierlandmarks.metrics.kaggle import Solution
from hierlandmarks.metrics.relevance import gain_of_levels, relevance_of_levels
from hierlandmarks.metrics.trec import read_qrels, read_run
from tests.reference import metrics as twins

GOLDEN = ("batch_balanced", "batch_pairs", "query_gallery")
MADE_IN_FLOAT32 = ("hap_pop", "hap_decomposed", "ndcg")


def golden(shared: Path, name: str, backend: str) -> tuple[Any, dict[str, np.ndarray], np.ndarray]:
    """The arrays of a file, our values for its metrics, and each query's levels in order."""
    arrays = np.load(shared / "golden" / f"{name}.npz")
    given = (
        {"gallery": arrays["ref_embeddings"], "gallery_labels": arrays["ref_labels"]} if "ref_labels" in arrays else {}
    )
    settings: dict[str, Any] = {"cutoffs": Cutoffs(map_at=(10, 100)), "resamples": 1, "backend": backend} | given
    report = evaluate_embeddings(arrays["embeddings"], arrays["labels"], **settings)
    weights = arrays["weights_decomposed"].tolist()
    other = evaluate_embeddings(
        arrays["embeddings"], arrays["labels"], relevance="decomposed", weights=weights, **settings
    )
    ours = {name: column.to_numpy() for name, column in report.per_query.iloc[:, 2:].items()}
    ours |= {"hap_pop": ours["h_ap"], "hap_decomposed": other.per_query["h_ap"].to_numpy()}
    mine, theirs = arrays["labels"], given.get("gallery_labels", arrays["labels"])
    scores = arrays["embeddings"] @ given.get("gallery", arrays["embeddings"]).T
    level = (mine[:, None] == theirs[None]).sum(axis=2)
    if not given:
        np.fill_diagonal(scores, -np.inf)
        np.fill_diagonal(level, 0)
    return arrays, ours, np.take_along_axis(level, np.argsort(-scores, axis=1, kind="stable"), axis=1)


@pytest.mark.shared
@pytest.mark.parametrize("backend", ["numpy", "compiled"])
@pytest.mark.parametrize("name", GOLDEN)
def test_golden(shared: Path, name: str, backend: str) -> None:
    arrays, ours, _ = golden(shared, name, backend)
    compared = 0
    for key in arrays.files:
        metric = key.removeprefix("metric_").replace("_level", "_")
        if key.startswith("metric_") and metric not in MADE_IN_FLOAT32:
            np.testing.assert_allclose(ours[metric], arrays[key], rtol=0, atol=1e-9, err_msg=key)
            compared += 1
    assert compared == 22


@pytest.mark.shared
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_h_ap_was_made_in_float32(shared: Path, name: str) -> None:
    """The golden H-AP is float32 work: its perfect rankings score 1.00000007. So it is met to float32 precision only,
    and on the very same rankings exact fractions are met to 1e-12.
    """
    arrays, ours, levels = golden(shared, name, "numpy")
    weights = [Fraction(1, 5), Fraction(3, 10), Fraction(1, 2)]
    assert arrays["weights_decomposed"].tolist() == [float(w) for w in weights]
    for metric in ("hap_pop", "hap_decomposed"):
        np.testing.assert_allclose(ours[metric], arrays[f"metric_{metric}"], rtol=0, atol=3e-7)
    for i in range(0, len(levels), 4):
        order = [int(level) for level in levels[i]][: len(levels[i]) - (name != "query_gallery")]
        for metric, worth in (
            ("hap_pop", twins.proportional(order, 3)),
            ("hap_decomposed", twins.decomposed(order, 3, weights)),
        ):
            exact = twins.h_ap(order, worth)
            assert exact is not None
            assert abs(ours[metric][i] - float(exact)) < 1e-12


@pytest.mark.shared
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_ndcg_was_divided_by_a_float32_sum(shared: Path, name: str) -> None:
    """golden · n = ours · (our normaliser) for a float32 number n near that normaliser: with n found, within 1e-9."""
    arrays, ours, levels = golden(shared, name, "numpy")
    for i, value in enumerate(arrays["metric_ndcg"]):
        order = gain_of_levels(3)[np.sort(levels[i])[::-1]]
        ideal = float((order / np.log2(np.arange(2, len(order) + 2))).sum())
        assert np.abs(value * _float32_near(ideal) / ideal - ours["ndcg"][i]).min() < 1e-9, i
        assert abs(value - ours["ndcg"][i]) < 3e-7


def _float32_near(value: float, steps: int = 8) -> np.ndarray:
    """The float32 numbers around a value."""
    bits = np.float32(value).view(np.int32) + np.arange(-steps, steps + 1, dtype=np.int32)
    return bits.view(np.float32).astype(np.float64)


@pytest.mark.shared
def test_official_gldv2_example(shared: Path) -> None:
    """The scorer's own test: mAP, precision, positions."""
    given = json.loads((shared / "data/metrics/delf/metrics_fixture.json").read_text())
    truth = {query: frozenset(images) for query, images in given["retrieval_solution"].items()}
    solution, want = Solution(truth, dict.fromkeys(truth, "Public")), given["expected"]
    at_100, at_2, at_1 = (
        evaluate_gldv2(given["retrieval_predictions"], solution, k=k, resamples=1) for k in (100, 2, 1)
    )
    assert round(at_100.mean["map_at_100"], 6) == want["mAP@100"]
    assert at_1.mean["map_at_1"] == want["mAP@1"]
    assert [at_1.mean["precision_at_1"], at_2.mean["precision_at_2"]] == want["mean_precisions@2"]
    assert at_100.mean["position"] == want["mean_position"]
    assert at_100.per_query["position"].median() == want["median_position"]
    assert at_1.mean["position"] == want["mean_position_max1"]
    assert at_1.per_query["position"].median() == want["median_position_max1"]


@pytest.mark.shared
def test_official_gldv2_files(shared: Path) -> None:
    folder = shared / "data/metrics/delf"
    report = evaluate_gldv2(folder / "retrieval_predictions.csv", folder / "retrieval_solution.csv", resamples=1)
    assert report.per_query["query_id"].tolist() == ["0223456789abcdef", "0323456789abcdef", "0423456789abcdef"]
    assert report.parts["Public"]["map_at_100"] == 1.0
    assert report.parts["Private"]["map_at_100"] == 0.0


TREC = (5, 10, 15, 20, 30, 100, 200, 500, 1000)


@pytest.mark.shared
def test_trec_eval_to_its_printed_digits(shared: Path) -> None:
    folder = shared / "data/metrics/trec_eval"
    cutoffs = Cutoffs(ndcg_at=TREC, precision_at=TREC, map_at=TREC)
    report = evaluate_run(folder / "results.test", folder / "qrels.test", cutoffs=cutoffs, resamples=1)
    names = {"map": "ap_0", "ndcg": "ndcg"} | {f"P_{k}": f"precision_at_{k}_0" for k in TREC}
    names |= {f"ndcg_cut_{k}": f"ndcg_at_{k}" for k in TREC}
    rows = report.per_query.set_index("query_id")
    compared = 0
    for line in (folder / "out.test.aq").read_text().splitlines():
        name, query, value = line.split()
        if name in names:
            column = names[name]
            found = report.mean[column] if query == "all" else rows.loc[query, column]
            assert f"{found:.4f}" == value, line
            compared += 1
    assert compared == 4 * 20


@pytest.mark.shared
def test_trec_eval_graded(shared: Path) -> None:
    """Graded judgments: trec_eval's gain is the level itself."""
    pytrec_eval = pytest.importorskip("pytrec_eval")
    folder = shared / "data/metrics/trec_eval"
    run, qrels = read_run(folder / "results.test"), read_qrels(folder / "qrels.rel_level")
    scored = {query: {item: 1.0 / rank for rank, item in enumerate(items, 1)} for query, items in run.items()}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg", "ndcg_cut"}).evaluate(scored)
    for query, judged in qrels.items():
        levels = np.array([max(judged.get(item, 0), 0) for item in run[query]])
        counts = np.bincount([max(level, 0) for level in judged.values()], minlength=5)
        ranks = np.flatnonzero(levels) + 1
        gains = np.arange(len(counts), dtype=np.float64)
        assert ndcg(ranks, levels[ranks - 1], counts, gains=gains) == pytest.approx(theirs[query]["ndcg"], abs=1e-9)
        ours = ndcg(ranks, levels[ranks - 1], counts, k=10, gains=gains)
        assert ours == pytest.approx(theirs[query]["ndcg_cut_10"], abs=1e-9)


@pytest.mark.shared
def test_ir_measures_agrees(shared: Path) -> None:
    ir_measures = pytest.importorskip("ir_measures")
    folder = shared / "data/metrics/trec_eval"
    measures = [ir_measures.AP, ir_measures.P @ 10, ir_measures.nDCG @ 20]
    theirs = ir_measures.calc_aggregate(
        measures,
        ir_measures.read_trec_qrels(str(folder / "qrels.test")),
        ir_measures.read_trec_run(str(folder / "results.test")),
    )
    cutoffs = Cutoffs(ndcg_at=(20,), precision_at=(10,))
    ours = evaluate_run(folder / "results.test", folder / "qrels.test", cutoffs=cutoffs, resamples=1).mean
    found = [ours["ap_0"], ours["precision_at_10_0"], ours["ndcg_at_20"]]
    assert found == pytest.approx([theirs[measure] for measure in measures], abs=1e-9)


def test_scikit_learn_and_torchmetrics_agree() -> None:
    """Where their conventions meet ours: positive scores, no ties, gain 2^l − 1 handed over."""
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    torchmetrics = pytest.importorskip("torchmetrics.functional.retrieval")
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    scores = rng.permutation(3000).reshape(10, 300) + 1.0
    mine, theirs = rng.integers(0, 9, 10), rng.integers(0, 9, 300)
    labels = np.stack([mine, mine // 3], 1), np.stack([theirs, theirs // 3], 1)
    report = evaluate_scores(scores, *labels, resamples=1).per_query
    for i in range(10):
        level = (labels[0][i] == labels[1]).sum(axis=1)
        gain = 2.0**level - 1
        assert report["ndcg"][i] == pytest.approx(sklearn_metrics.ndcg_score([gain], [scores[i]]), abs=1e-12)
        assert report["ap_0"][i] == pytest.approx(
            sklearn_metrics.average_precision_score(level >= 2, scores[i]), abs=1e-12
        )
        found = torchmetrics.retrieval_average_precision(torch.tensor(scores[i]), torch.tensor(level >= 1))
        assert report["ap_1"][i] == pytest.approx(float(found), abs=1e-6)


def test_a_perfect_ranking_scores_one_exactly_where_levels_have_equal_relevance() -> None:
    """|Ω^(2)| = 2·|Ω^(1)| gives both levels the same relevance; the released code scores 2 there."""
    counts = np.array([3, 2, 4, 0])
    relevance = relevance_of_levels(counts)
    assert relevance[1] == relevance[2] == pytest.approx(float(Fraction(1, 6)))
    scores = np.arange(9, 0, -1, dtype=np.float32)[None]
    gallery = np.array([[9, 5, 7]] * 4 + [[9, 6, 7]] * 2 + [[9, 6, 8]] * 3)
    assert evaluate_scores(scores, np.array([[1, 5, 7]]), gallery, resamples=1).mean["h_ap"] == pytest.approx(
        1.0, abs=1e-15
    )
