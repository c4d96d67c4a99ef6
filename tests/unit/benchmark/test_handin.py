"""From what is handed in to an entry, through the command line: rankings, embeddings and models of every kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from hierlandmarks import cli
from hierlandmarks.metrics import evaluate_embeddings, evaluate_gldv2
from hierlandmarks.tables import file_sha256, read_json
from hierlandmarks_benchmark.entries import read_entry
from hierlandmarks_benchmark.intake.truth import GroundTruth
from hierlandmarks_benchmark.leaderboard import read_board
from tests.board import make_release
from tests.handin import RANKINGS, ranked, truth_of, vectors, write_csv, write_track, write_vectors
from tests.unit.benchmark.test_intake import solution

MODEL = """
import numpy as np

def embed(images):
    return np.stack([np.asarray(image.resize((8, 6)), dtype=np.float32).ravel() for image in images])

class Halves:
    def embed(self, images):
        return embed(images)[:, ::2]

def broken(images):
    return [1 / 0]

def nothing(images):
    return np.full((len(images), 2), np.nan)
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("release"))


@pytest.fixture
def truth(drawn: Path, tmp_path: Path) -> GroundTruth:
    return truth_of(drawn, tmp_path)


@pytest.fixture
def run(drawn: Path, tmp_path: Path, truth: GroundTruth, capsys: pytest.CaptureFixture[str]) -> Any:
    """Submits on the tiny track; returns the exit code, the entry's folder, and what was said."""

    def run(*arguments: object, name: str = "mine") -> tuple[int, Path, str]:
        out = tmp_path / "submissions"
        given = ["--track", tmp_path / "tiny.yaml", "--release", drawn, "--name", name, "--out", out, *arguments]
        code = cli.run(["bench", "submit", *map(str, given)])
        said = capsys.readouterr()
        return code, out / name, said.out + said.err

    return run


@pytest.mark.parametrize("name", RANKINGS)
def test_rankings_become_an_entry(name: str, run: Any, truth: GroundTruth, tmp_path: Path) -> None:
    path = RANKINGS[name](tmp_path / name, ranked(truth))
    said = ["--method", "dice", "--trained-on", "nothing", "--by", "Ada", "--contamination", "saw the index"]
    code, home, text = run("--rankings", path, *said)
    assert code == 0, text
    meta = read_entry(home).meta
    assert (meta.model.name, meta.by, meta.contamination, meta.source) == ("dice", "Ada", "saw the index", "rankings")
    assert meta.inputs == {name: file_sha256(path)}
    again = run("--rankings", home / "rankings.parquet", name="again")[1]  # an entry's own rankings give its scores
    assert read_entry(again).scores == read_entry(home).scores


def test_embeddings_are_scored_as_the_library_scores_them(run: Any, truth: GroundTruth, tmp_path: Path) -> None:
    for split, images, seed in (("query", truth.queries, 1), ("index", truth.searched, 2)):
        write_vectors(tmp_path / "vectors", "npy", split, list(images.ids), vectors(len(images.ids), seed))
    code, home, text = run("--embeddings", tmp_path / "vectors")
    assert code == 0, text
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (vectors(6, 1), vectors(24, 2))]
    report = evaluate_embeddings(unit[0], truth.queries.labels, unit[1], truth.searched.labels, resamples=10)
    for column, score in read_entry(home).scores.items():
        assert score.value == pytest.approx(report.mean[column], nan_ok=True)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "model.py").write_text(MODEL)
    return tmp_path / "model.py"


def test_a_program_runs_only_where_it_is_trusted(run: Any, program: Path) -> None:
    code, home, text = run("--model", f"{program}:embed")
    assert (code, home.exists()) == (1, False)
    assert "is a program and would run with your rights: read it, then add --trust-code" in text
    code, home, text = run("--model", f"{program}:embed", "--trust-code")
    assert code == 0, text
    entry = read_entry(home)
    assert entry.meta.inputs == {"model.py": file_sha256(program)}
    assert (entry.scores["recall_at_1_0"].value or 0) > 0.5  # the drawn pictures are easy
    assert run("--model", f"{program}:Halves", "--trust-code", name="halves")[0] == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("broken", "the model fails on images 0 to 5; got ZeroDivisionError: division by zero"),
        ("nothing", "row 1 holds NaN or infinity"),
        ("absent", "has no function absent"),
    ],
)
def test_a_model_that_fails_is_told_so(name: str, words: str, run: Any, program: Path) -> None:
    code, home, text = run("--model", f"{program}:{name}", "--trust-code")
    assert (code, home.exists()) == (3, False)
    assert words in text


def test_a_model_of_transformers(run: Any, tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    config = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32)
    ViTModel(config).save_pretrained(tmp_path / "vit")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "vit")
    code, home, text = run("--model", f"transformers:{tmp_path / 'vit'}")
    assert code == 0, text
    assert "model.safetensors" in read_entry(home).meta.inputs
    (tmp_path / "vit" / "model.safetensors").rename(tmp_path / "vit" / "pytorch_model.bin")
    assert run("--model", f"transformers:{tmp_path / 'vit'}", name="pickle")[0] == 2


def test_a_model_of_ours(run: Any, model: Path) -> None:
    code, home, text = run("--model", model)
    assert code == 0, text
    assert {"model.safetensors", "recipe.yaml"} <= set(read_entry(home).meta.inputs)


def test_baselines_stand_where_they_should(run: Any) -> None:
    for name in ("random", "oracle", "colour-histogram", "untrained"):
        code, home, text = run("--model", f"baseline:{name}", name=name)
        assert code == 0, text
    scores = {row.entry.meta.name: row.entry.scores["h_ap"].value for row in read_board(home.parent).rankings[0].rows}
    assert scores["oracle"] == 1.0
    assert scores["random"] < scores["colour-histogram"]
    assert "every score is perfect" in read_entry(home.parent / "oracle").notes
    assert run("--model", "baseline:randm")[0] == 1


def test_lists_in_the_order_of_the_index_are_noted(run: Any, truth: GroundTruth, tmp_path: Path) -> None:
    ordered = {query: list(truth.searched.ids) for query in truth.queries.ids}
    home = run("--rankings", write_csv(tmp_path / "a.csv", ordered))[1]
    assert read_entry(home).notes == ("100% of the lists begin in the order of the index",)


def test_checking_says_all_and_writes_nothing(run: Any, truth: GroundTruth, tmp_path: Path) -> None:
    lists = ranked(truth)
    first, second = list(lists)[:2]
    bad = lists | {first: ["nobody"], second: ["nobody"]}
    code, home, text = run("--rankings", write_csv(tmp_path / "a.csv", bad), "--check")
    assert (code, home.exists()) == (3, False)
    assert len([line for line in text.splitlines() if "'nobody' is no image of the gallery" in line]) == 3
    assert run("--rankings", write_csv(tmp_path / "a.csv", lists), "--check")[0] == 0
    assert not home.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "hand in one thing; got nothing"),
        (["--rankings", "a.csv", "--model", "baseline:random"], "got rankings and model"),
        (["--model", "resnet"], "there is no such model"),
        (["--model", "timm:resnet18"], "needs timm, which does not import"),
        (["--name", "../up", "--model", "baseline:random"], "not safe as a folder"),
        (["--track", "minni", "--model", "baseline:random"], "no track 'minni': did you mean mini"),
    ],
)
def test_wrong_arguments(arguments: list[str], words: str, run: Any) -> None:
    code, home, text = run(*arguments)
    assert code in (1, 2)
    assert words in text
    assert not home.parent.exists()


def test_the_official_score_is_the_official_scorers(run: Any, truth: GroundTruth, tmp_path: Path) -> None:
    path = solution(tmp_path / "solution.csv", truth, 2)
    lists = ranked(truth)
    code, home, text = run("--rankings", write_csv(tmp_path / "a.csv", lists), "--ground-truth", path)
    assert code == 0, text
    official = evaluate_gldv2(lists, path, resamples=10).parts
    entry = read_entry(home)
    for part in ("Public", "Private"):
        assert entry.scores[f"official_map_at_100_{part.lower()}"].value == pytest.approx(official[part]["map_at_100"])
    assert entry.meta.truth.solution == file_sha256(path)


def rescore(tmp_path: Path, release: Path, *more: str) -> int:
    given = ["--submissions", tmp_path / "submissions", "--out", tmp_path / "board", "--rescore", "--release", release]
    return cli.run(["bench", "leaderboard", *map(str, given), "--track", str(tmp_path / "tiny.yaml"), *more])


def test_rescoring_brings_entries_up_to_date(
    run: Any, drawn: Path, truth: GroundTruth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = run("--rankings", write_csv(tmp_path / "a.csv", ranked(truth)), "--by", "Ada")[1]
    before = (home / "meta.yaml").read_bytes()
    assert rescore(tmp_path, drawn) == 0
    assert "mine: up to date" in capsys.readouterr().err
    assert (home / "meta.yaml").read_bytes() == before
    write_track(tmp_path / "tiny.yaml", metrics=["h_ap", "ndcg"], primary="ndcg")
    assert rescore(tmp_path, drawn) == 0
    assert "mine: rescored" in capsys.readouterr().err
    entry = read_entry(home)
    assert (entry.meta.primary, entry.meta.by, set(entry.scores)) == ("ndcg", "Ada", {"h_ap", "ndcg"})
    log = [json.loads(line) for line in (home.parent / "log.jsonl").read_text().splitlines()]
    assert [(line["event"], line["entry"]) for line in log] == [("submitted", "mine"), ("rescored", "mine")]
    assert read_board(home.parent).rankings[0].primary == "ndcg"
    assert entry.notes == ()


def test_scores_of_another_version_are_marked_until_they_are_rescored(
    run: Any, drawn: Path, truth: GroundTruth, tmp_path: Path
) -> None:
    home = run("--rankings", write_csv(tmp_path / "a.csv", ranked(truth)))[1]
    meta = yaml.safe_load((home / "meta.yaml").read_text())
    meta["truth"]["content_hash"], meta["date"] = "0" * 64, "2020-01-01"  # as if it had been scored long ago
    (home / "meta.yaml").write_text(yaml.safe_dump(meta))
    run("--model", "baseline:random", name="new")
    assert [(r.current, len(r.rows)) for r in read_board(home.parent).rankings] == [(True, 1), (False, 1)]
    assert rescore(tmp_path, drawn) == 0
    assert [(r.current, len(r.rows)) for r in read_board(home.parent).rankings] == [(True, 2)]


def test_labels_of_queries_go_with_an_entry(run: Any, truth: GroundTruth) -> None:
    frame = pd.read_parquet(run("--model", "baseline:random")[1] / "per_query.parquet")
    assert set(frame["label"]) == {"waterfall", "mountain", "church", "castle"}
    assert read_json(run("--model", "baseline:oracle", name="o")[1] / "scores.json")["track"] == "tiny"
