from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import hierlandmarks as hl
from hierlandmarks.errors import CorruptInputError, MissingDataError, UsageError
from hierlandmarks.metrics import evaluate_embeddings
from hierlandmarks.tables import read_json
from hierlandmarks_benchmark.commands import bench
from hierlandmarks_benchmark.embed import EmbedParams, embed
from hierlandmarks_benchmark.evaluate import EvaluateParams, Side, choose, evaluate, examples
from hierlandmarks_benchmark.vectors import Embeddings, read_embeddings, write_embeddings
from tests.coloured import release as write_release

QUICK = EvaluateParams(resamples=50)


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory: pytest.TempPathFactory, release: Path, model: Path) -> Path:
    folder = tmp_path_factory.mktemp("embeddings")
    embed(release, model, folder)
    return folder


def test_every_entry_is_scored_as_the_metrics_say(tmp_path: Path, release: Path, embeddings: Path) -> None:
    reports = evaluate(release, embeddings, tmp_path, QUICK)
    assert list(reports) == ["colour-histogram", "tiny", "untrained"]
    query, index = (read_embeddings(embeddings / "tiny", split).vectors for split in ("query", "index"))
    labels = {split: hl.load(release, split=split).labels for split in ("query", "index")}
    expected = evaluate_embeddings(query, labels["query"], index, labels["index"], resamples=50).mean
    assert reports["tiny"].mean == expected
    scores = read_json(tmp_path / "tiny" / "scores.json")
    assert scores["report"]["mean"]["h_ap"] == expected["h_ap"]
    frame = pd.read_parquet(tmp_path / "tiny" / "per_query.parquet")
    assert frame["query_id"].tolist() == hl.load(release, split="query").images["id"].tolist()
    assert frame["h_ap"].mean() == pytest.approx(expected["h_ap"])


def test_torch_measures_the_same(tmp_path: Path, release: Path, embeddings: Path) -> None:
    library = evaluate(release, embeddings, tmp_path / "library", QUICK)
    torch = evaluate(release, embeddings, tmp_path / "torch", replace(QUICK, device="auto"))
    for name, report in library.items():
        assert torch[name].mean == pytest.approx(report.mean, abs=1e-6)


def test_scores_do_not_travel_alone(tmp_path: Path, release: Path, embeddings: Path) -> None:
    evaluate(release, embeddings, tmp_path, QUICK)
    scores = read_json(tmp_path / "tiny" / "scores.json")
    assert (scores["entry"], scores["track"]) == ("tiny", "coloured")
    assert (scores["query_split"], scores["gallery_split"]) == ("query", "index")
    provenance = scores["provenance"]
    assert {"dataset", "model", "code_version", "date", "settings", "hardware", "embedded"} <= set(provenance)
    assert provenance["dataset"]["content_hash"] == hl.load(release).content_hash
    assert provenance["settings"]["relevance"] == "proportional"


def test_the_parts_of_the_official_truth_have_means_of_their_own(tmp_path: Path, model: Path) -> None:
    splits = {"query": (range(10, 16), 2), "index": (range(10, 16), 4)}
    parted = write_release(tmp_path, splits, usage=("Public", "Private", "Private"))
    embed(parted, model, tmp_path / "e", EmbedParams(baselines=()))
    report = evaluate(parted, tmp_path / "e", tmp_path / "out", QUICK)["tiny"]
    usage = hl.load(parted, split="query").images["usage"]
    assert report.per_query["part"].tolist() == usage.tolist()
    private = report.per_query["h_ap"][(usage == "Private").to_numpy()].mean()
    assert report.parts["Private"]["h_ap"] == pytest.approx(private)


def test_ids_decide_and_not_the_order_of_rows(tmp_path: Path, release: Path, embeddings: Path) -> None:
    about = (embeddings / "tiny" / "entry.json").read_bytes()
    for split in ("query", "index"):
        found = read_embeddings(embeddings / "tiny", split)
        order = np.random.default_rng(0).permutation(len(found.ids))
        shuffled = Embeddings(tuple(np.array(found.ids)[order]), found.vectors[order])
        write_embeddings(tmp_path / "shuffled" / "tiny", split, shuffled)
    (tmp_path / "shuffled" / "tiny" / "entry.json").write_bytes(about)
    first = evaluate(release, embeddings, tmp_path / "a", QUICK)["tiny"]
    again = evaluate(release, tmp_path / "shuffled", tmp_path / "b", QUICK)["tiny"]
    assert first.mean == again.mean
    assert first.per_query.equals(again.per_query)
    assert (tmp_path / "a/tiny/examples.json").read_text() == (tmp_path / "b/tiny/examples.json").read_text()


def test_validation_is_ranked_against_itself(tmp_path: Path, validated: Path, model: Path) -> None:
    embed(validated, model, tmp_path / "embeddings", EmbedParams(baselines=()))
    report = evaluate(validated, tmp_path / "embeddings", tmp_path / "out", QUICK)["tiny"]
    assert len(report.per_query) == 24
    assert read_json(tmp_path / "out" / "tiny" / "scores.json")["gallery_split"] is None
    for shown in read_json(tmp_path / "out" / "tiny" / "examples.json"):
        assert shown["query"] not in [result["id"] for result in shown["results"]]


def test_examples_show_the_best_results_with_the_level_of_their_match() -> None:
    labels = np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0], [2, 1, 0], [3, 2, 1]])
    vectors = np.array([[1, 0], [0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0, 1]], np.float32)
    side = Side(np.array(["a", "b", "c", "d", "e"]), vectors, labels, np.array(["all"] * 5))
    (shown,) = [item for item in examples(side, None, EvaluateParams(results=3)) if item["query"] == "a"]
    assert shown["results"] == [{"id": "b", "level": 3}, {"id": "c", "level": 2}, {"id": "d", "level": 1}]
    everything = examples(side, None, EvaluateParams(results=99))
    assert all(len(item["results"]) == 4 for item in everything)
    gallery = Side(np.array(["x", "a"]), vectors[[4, 0]], labels[[4, 0]], side.parts[:2])
    found = {item["query"]: item["results"] for item in examples(side, gallery, EvaluateParams())}
    assert found["a"] == [{"id": "x", "level": 0}]  # itself is left out


def test_queries_shown_are_of_different_labels_and_do_not_depend_on_order() -> None:
    ids = np.array([f"{n:016x}" for n in range(60)])
    labels = np.arange(60) % 12
    labels[:5] = -1
    rows = choose(ids, labels, 8)
    assert len({labels[row] for row in rows}) == 8
    assert -1 not in labels[rows]
    order = np.random.default_rng(1).permutation(60)
    assert [ids[row] for row in rows] == [ids[order][row] for row in choose(ids[order], labels[order], 8)]
    assert len(choose(ids, labels, 99)) == 60


def test_embeddings_of_another_dataset_are_refused(tmp_path: Path, validated: Path, embeddings: Path) -> None:
    with pytest.raises(CorruptInputError, match=r"are of another dataset.*embed this release again"):
        evaluate(validated, embeddings, tmp_path, QUICK)
    assert not list(tmp_path.iterdir())


def test_images_the_release_lacks_are_refused(tmp_path: Path, release: Path, embeddings: Path) -> None:
    found = read_embeddings(embeddings / "tiny", "query")
    for split in ("query", "index"):
        write_embeddings(tmp_path / "e" / "tiny", split, Embeddings(("no-such-image", *found.ids[1:]), found.vectors))
    (tmp_path / "e" / "tiny" / "entry.json").write_bytes((embeddings / "tiny" / "entry.json").read_bytes())
    with pytest.raises(CorruptInputError, match=r"an image that the split query of coloured lacks; got no-such-image"):
        evaluate(release, tmp_path / "e", tmp_path / "out", QUICK)


def test_settings_are_checked(tmp_path: Path, release: Path, embeddings: Path) -> None:
    with pytest.raises(UsageError, match="resamples"):
        EvaluateParams(examples=0)
    with pytest.raises(UsageError, match="relevance"):
        evaluate(release, embeddings, tmp_path, EvaluateParams(relevance="proportionl"))
    with pytest.raises(MissingDataError):
        evaluate(release, tmp_path / "none", tmp_path, QUICK)


def test_the_commands_run_one_after_the_other(tmp_path: Path, release: Path, model: Path) -> None:
    run = CliRunner()
    small = ["--set", "epochs=1", "--set", "name=small", "--set", "sampler.batch=16", "--set", "data.embedded=32"]
    small += ["--set", "model.config={embedding_size: 8, hidden_sizes: [8], depths: [1], layer_type: basic}"]
    at = ["--release", str(release)]
    done = run.invoke(bench, ["train", *at, "--recipe", "mini", *small, "--out", str(tmp_path / "model"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["recipe"]["epochs"] == 1
    done = run.invoke(
        bench,
        ["embed", *at, "--model", str(tmp_path / "model"), "--out", str(tmp_path / "e"), "--baseline", "untrained"],
    )
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("small, untrained;")
    done = run.invoke(
        bench, ["evaluate", *at, "--embeddings", str(tmp_path / "e"), "--out", str(tmp_path / "evaluation")]
    )
    assert done.exit_code == 0, done.output
    assert "h_ap" in done.stdout
    assert (tmp_path / "evaluation" / "small" / "scores.json").is_file()


def test_a_failed_command_leaves_nothing_behind(tmp_path: Path, release: Path) -> None:
    out = tmp_path / "model"
    arguments = [
        "train",
        "--release",
        str(release),
        "--recipe",
        "mini",
        "--out",
        str(out),
        "--set",
        "sampler.batch=4000",
    ]
    done = CliRunner().invoke(bench, arguments)
    assert isinstance(done.exception, UsageError)
    assert not list(tmp_path.iterdir())
