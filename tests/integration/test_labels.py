"""`hierlandmarks labels` on a run folder, as a person uses it: propose, review, decide, assign, build, compare."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from hierlandmarks import cli, schema
from hierlandmarks.tables import write_table
from tests.labelworld import (
    CHURCH,
    categories,
    decide,
    labels_folder,
    landmark,
    reasons,
    stated,
    subclasses,
    types,
)


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that has got as far as types, and a labels folder with one decision; the working folder is theirs."""
    monkeypatch.setenv("HIERLANDMARKS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    labels_folder(tmp_path / "labels", [decide("chapel", CHURCH)])
    places = categories(*(landmark(n, name) for n, name in enumerate(["Saint Anne", "Tarn A", "Tarn B", "Old Castle"])))
    stated_types = types(stated(0, "chapel"), stated(1, "tarn"), stated(2, "tarn"), stated(3, "thing"))
    tables = {
        "categories": places,
        "types": stated_types,
        "subclasses": subclasses(("tarn", "lake")),
        "reasons": reasons(places),
    }
    for name, table in tables.items():
        write_table(tmp_path / f"run/tables/{name}.parquet", table, schema.TABLES[name], {})
    return tmp_path / "run"


def run(*arguments: str) -> int:
    return cli.run(["labels", *arguments])


def test_from_types_to_labels(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--out", "run", "--labels", "labels"]
    assert run("propose", *common, "--model", "lexical-ngrams") == 0
    assert run("review", "export", *common) == 0
    sheet = run_folder / "review/review.csv"
    rows = list(csv.DictReader(sheet.open(encoding="utf-8-sig", newline="")))
    assert [row["type"] for row in rows] == ["tarn", "thing", "chapel"]  # undecided first, of most landmarks first
    assert [row["decided"] for row in rows] == ["", "", "church"]

    # a person fills it in, and their spreadsheet saves it with semicolons
    rows[0] |= {"decision": "Lake ", "reason": "a small one"}
    with sheet.open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.DictWriter(stream, rows[0], delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    capsys.readouterr()
    apply = ["review", "apply", "run/review/review.csv", "--reviewer", "bo", "--date", "2026-11-24", "--json"]
    assert run(*apply) == 0
    (added,) = json.loads(capsys.readouterr().out)["added"]
    assert (added["type_id"], added["label_id"], added["reason"]) == ("hl:tarn", "hl:lake", "a small one")
    assert run(*apply) == 0
    assert json.loads(capsys.readouterr().out) == {"added": []}

    assert run("review", "status", *common, "--json") == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["types"], status["decided"], status["settled"], status["waiting"]) == (3, 2, 3, 1)

    assert run("review", "export", *common) == 0
    assert list(run_folder.glob("review.edited-*/review.csv")), "what a person typed was overwritten"
    assert run("assign", *common) == 0
    assert run("build", "--out", "run") == 0
    with (run_folder / "labels/train_label_to_hierarchical.csv").open(newline="") as stream:
        labels = [row["hierarchical_label"] for row in csv.DictReader(stream)]
    assert labels == ["church", "lake", "lake", "castle / fort"]  # the last by its name
    capsys.readouterr()
    assert run("build", "--out", "run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["ran"] is False

    kept = run_folder.parent / "before"
    (run_folder / "labels").rename(kept)
    assert run("assign", *common, "--name-threshold", "1.1") == 0
    assert run("build", "--out", "run") == 0
    capsys.readouterr()
    assert run("diff", "before", "run/labels", "--json") == 0
    (move,) = json.loads(capsys.readouterr().out)["moves"]
    assert (move["landmark_id"], move["before"], move["after"]) == ("3", "castle / fort", "")


def test_errors_have_their_exit_codes(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("propose", "--out", "run", "--labels", "labels", "--model", "./none") == 2
    assert run("propose", "--out", "run", "--labels", "labels", "--model", "lexical-ngrams", "--method", "kmean") == 1
    assert run("assign", "--out", "nowhere") == 2
    assert run("diff", "labels", "run") == 2
    path = Path("labels/decisions.csv")
    path.write_text(path.read_text().replace("hl:church", "hl:curch"))
    capsys.readouterr()
    assert run("propose", "--out", "run", "--labels", "labels", "--model", "lexical-ngrams") == 0
    assert run("review", "export", "--out", "run", "--labels", "labels") == 3
    message = capsys.readouterr().err.splitlines()[-1]
    assert "decisions.csv row 2: there is no label 'hl:curch': did you mean hl:church?" in message
    assert not (run_folder / "review").exists()


def test_wrong_places_are_told_before_any_work(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def says(message: str, code: int, *arguments: str) -> None:
        assert run(*arguments) == code
        told = capsys.readouterr().err
        assert message in told
        assert "Traceback" not in told

    csvs = ["--train", "train.csv", "--input", "asked.csv"]
    says("is a directory", 1, "assign", *csvs, "--output", "labels")
    says("is a directory", 1, "assign", *csvs, "--output", "o.csv", "--review", "labels")
    says("--priors is of no use in a run folder", 1, "assign", "--out", "run", "--priors", "p.csv")
    says("nowhere does not exist", 2, "diff", "labels", "nowhere")
    says("labels is a folder", 1, "review", "apply", "labels")


def test_two_reviewers_who_disagree_are_named(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, label in (("ann", "lake"), ("bo", "church")):
        Path(f"{name}.csv").write_text(f"type_id,type,decision,reviewer\nhl:tarn,tarn,{label},{name}\n")
    before = Path("labels/decisions.csv").read_bytes()
    assert run("review", "apply", "ann.csv", "bo.csv") == 3
    message = capsys.readouterr().err
    assert "ann.csv cell C2" in message
    assert "bo.csv cell C2" in message
    assert Path("labels/decisions.csv").read_bytes() == before
    assert run("review", "apply", "ann.csv") == 0
    assert run("review", "apply", "bo.csv") == 3
    assert run("review", "apply", "bo.csv", "--overrule") == 0
    assert Path("labels/decisions.csv").read_bytes().startswith(before)


@pytest.mark.shared
def test_washington_agrees_with_the_published_labels(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hierlandmarks_pipelines.labeldiff import diff_labels
    from hierlandmarks_pipelines.run import run_recipe

    monkeypatch.setenv("HIERLANDMARKS_HOME", str(tmp_path / "home"))
    data = shared / "data/gldv2"
    stages = ["text: {model: lexical-ngrams}", "cluster: {trials: 0}", "review: {}", "assign: {}", "build: {}"]
    recipe = tmp_path / "washington.yaml"
    recipe.write_text(f"stages:\n- photos: {{folder: {data}}}\n" + "".join(f"- {stage}\n" for stage in stages))
    run_recipe(recipe, tmp_path / "run")
    result = diff_labels(data / "train_label_sample.csv", tmp_path / "run/labels")
    assert (result.both, len(result.moves), result.agreement) == (31, 0, 1.0)
    unplaced = (tmp_path / "run/labels/unplaced.csv").read_text().splitlines()[1:]
    assert len(unplaced) < 0.15 * 515
    assert "no decision yet" not in "\n".join(unplaced)  # every type of these landmarks is decided
