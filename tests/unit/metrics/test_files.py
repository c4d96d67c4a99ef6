"""TREC and Kaggle files: written, read back, and refused line by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hierlandmarks.errors import CorruptInputError, MissingDataError, UsageError
from hierlandmarks.metrics import evaluate_embeddings, evaluate_gldv2, evaluate_run, top_rankings
from hierlandmarks.metrics.kaggle import read_predictions, read_solution, write_predictions
from hierlandmarks.metrics.trec import read_qrels, read_run, write_qrels, write_run


def test_embeddings_and_their_exported_run_score_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids = np.array([f"i{n:03}" for n in range(60)])
    x, leaf = rng.standard_normal((60, 5)).astype(np.float32), rng.integers(0, 12, 60)
    labels = np.stack([leaf, leaf // 4], axis=1)
    report = evaluate_embeddings(x, labels, query_ids=ids, resamples=1)
    write_run(tmp_path / "run.txt", top_rankings(x, x, k=60, query_ids=ids, gallery_ids=ids))
    write_qrels(tmp_path / "qrels.txt", ids, labels, ids, labels)
    again = evaluate_run(tmp_path / "run.txt", tmp_path / "qrels.txt", resamples=1)
    mine, theirs = (r.per_query.set_index("query_id")[report.columns].sort_index() for r in (report, again))
    np.testing.assert_allclose(theirs, mine, rtol=0, atol=1e-12)


def test_a_run_is_ordered_as_trec_eval_orders_it(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_text("1 Q0 a 1 0.5 t\n1 Q0 c 2 0.5 t\n1 Q0 b 9 0.7 t\n\n")
    assert read_run(path) == {"1": ["b", "c", "a"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 Q0 a 1 0.5\n", "line 1 is cut short; got 5 fields"),
        ("1 Q0 a 1 0.5 t\n1 Q0 b 2 nan t\n", "line 2: the score is no number; got 'nan'"),
        ("1 Q0 a 1 high t\n", "line 1: the score is no number"),
    ],
)
def test_runs_that_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "run.txt").write_text(text)
    with pytest.raises(CorruptInputError, match=message):
        read_run(tmp_path / "run.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 a\n", "line 1 is cut short"),
        ("1 0 a 1\n1 0 a 0\n", "line 2: 'a' is judged twice"),
        ("1 0 a one\n", "line 1: the level is no integer"),
    ],
)
def test_qrels_that_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "qrels.txt").write_text(text)
    with pytest.raises(CorruptInputError, match=message):
        read_qrels(tmp_path / "qrels.txt")


def test_runs_and_qrels_have_to_belong_together() -> None:
    with pytest.raises(CorruptInputError, match="query 'x' of the run is not judged"):
        evaluate_run({"x": ["a"]}, {"q": {"a": 1}})
    with pytest.raises(CorruptInputError, match="'a' is listed twice"):
        evaluate_run({"q": ["a", "a"]}, {"q": {"a": 1}})
    with pytest.raises(UsageError, match="no relevant item"):
        evaluate_run({"q": ["a"]}, {"q": {"a": 0}})
    with pytest.raises(MissingDataError, match="no file"):
        read_run("nowhere.txt")
    assert evaluate_run({}, {"q": {"a": 1}}, resamples=1).mean["ap_0"] == 0.0


def test_predictions_come_back(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", {"b": ["x", "y", "z"], "a": []}, k=2)
    assert (tmp_path / "p.csv").read_text() == "id,images\na,\nb,x y\n"
    assert read_predictions(tmp_path / "p.csv") == {"a": [], "b": ["x", "y"]}
    with pytest.raises(CorruptInputError, match="'x y' cannot be written"):
        write_predictions(tmp_path / "q.csv", {"b": ["x y"]})
    assert not (tmp_path / "q.csv").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,images\na,x\n", "has no column Usage"),
        ("id,images,Usage\na,x,Public\na,y,Public\n", "line 3: query 'a' is repeated"),
        ("id,images,Usage\na,x,Secret\n", "line 2: unknown usage; got 'Secret'"),
        ("id,images,Usage\na,None,Public\n", "line 2: query 'a' has no images"),
        ("", "is no CSV"),
    ],
)
def test_solutions_that_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(CorruptInputError, match=message):
        read_solution(tmp_path / "s.csv")


def test_the_official_conventions(tmp_path: Path) -> None:
    """Past 100 nothing counts, a repeated id uses up its rank, a missing query scores 0, ignored ones are skipped."""
    solution, predictions = tmp_path / "s.csv", tmp_path / "p.csv"
    solution.write_text("id,images,Usage\na,x y,Public\nb,z,Private\nc,None,Ignored\nd,late,Public\n")
    predictions.write_text("id,images\na,x x y\nc,x\nd," + " ".join([f"n{i}" for i in range(100)] + ["late"]) + "\n")
    report = evaluate_gldv2(predictions, solution, resamples=1)
    rows = report.per_query.set_index("query_id")["map_at_100"]
    assert rows.to_dict() == {"a": (1 + 2 / 3) / 2, "b": 0.0, "d": 0.0}
    assert report.parts["Public"]["map_at_100"] == (1 + 2 / 3) / 4
    predictions.write_text("id,images\nelsewhere,x\n")
    with pytest.raises(CorruptInputError, match="'elsewhere' is not in the solution"):
        evaluate_gldv2(predictions, solution)
