"""An evaluation becomes an entry only when it is whole, speaks of this release, and its numbers can be."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from hierlandmarks import cli
from hierlandmarks.errors import CorruptInputError, HierlandmarksError, IncompleteError, MissingDataError, UsageError
from hierlandmarks.tables import file_sha256, read_json, write_json
from hierlandmarks_benchmark.entries import read_entry
from hierlandmarks_benchmark.evaluations import match_level
from hierlandmarks_benchmark.submit import STAGE, Submit, submit
from hierlandmarks_benchmark.texts import plain
from tests.board import make_evaluation, make_release, release_rows

FILES = {"rankings.parquet", "meta.yaml", "scores.json", "per_query.parquet", "examples.json", "examples"}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("release"))


@pytest.fixture
def evaluation(tmp_path: Path, release: Path) -> Path:
    return make_evaluation(tmp_path / "evaluation" / "suphap", release, noise=0.3)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def change(path: Path, edit: Callable[[Any], Any]) -> None:
    content = read_json(path)
    write_json(path, edit(content) or content)


def test_an_entry_holds_what_it_takes_to_believe_it(evaluation: Path, release: Path, tmp_path: Path) -> None:
    home = submit(evaluation, release, tmp_path / "submissions")
    assert home == tmp_path / "submissions" / "suphap"
    assert {path.name for path in home.iterdir()} == FILES
    meta = yaml.safe_load((home / "meta.yaml").read_text())
    assert meta["truth"] == {
        "name": "tiny",
        "version": "1.0",
        "content_hash": read_json(release / "MANIFEST.json")["content_hash"],
        "query_split": "query",
        "gallery_split": "index",
        "queries": 6,
        "gallery": 24,
        "levels": ["landmark", "label", "kind"],
        "depth": None,
        "solution": "",
    }
    assert meta["model"] == {"name": "resnet18", "trained_on": "tiny (train)", "loss": "SupHAP", "recipe": {"lr": 1e-3}}
    assert meta["date"] == "2026-11-23"
    assert meta["inputs"] == {f.name: file_sha256(f) for f in evaluation.iterdir()}
    assert meta["files"] == {name: file_sha256(home / name) for name in sorted(contents(home)) if name != "meta.yaml"}
    assert (home / "scores.json").read_bytes() == (evaluation / "scores.json").read_bytes()


def test_examples_are_captioned_and_shown_small(evaluation: Path, release: Path, tmp_path: Path) -> None:
    entry = read_entry(submit(evaluation, release, tmp_path / "submissions", params=Submit(thumbnail=36, examples=2)))
    assert len(entry.examples) == 2
    by_id = {row["id"]: row for split in ("query", "index") for row in release_rows(split)}
    for example in entry.examples:
        assert len(example.results) == 8
        query = by_id[example.query.id]
        assert (example.query.name, example.query.license) == (query["name"], "CC BY 4.0")
        for result in example.results:
            found = by_id[result.picture.id]
            same = [found[level] == query[level] for level in ("kind", "label", "landmark")]
            assert result.level == [*same, False].index(False)
            assert Image.open(io.BytesIO(entry.thumbnails[result.picture.id])).size == (48, 36)


def test_same_evaluation_same_bytes(evaluation: Path, release: Path, tmp_path: Path) -> None:
    first, second = (contents(submit(evaluation, release, tmp_path / name)) for name in ("one", "two"))
    assert first == second


def test_queries_may_be_their_own_gallery(evaluation: Path, release: Path, tmp_path: Path) -> None:
    queries = [row["id"] for row in release_rows("query")]
    other = next(row["id"] for row in release_rows("query") if row["label"] != release_rows("query")[0]["label"])
    level = 1 if release_rows("query")[queries.index(other)]["kind"] == release_rows("query")[0]["kind"] else 0
    write_json(evaluation / "examples.json", [{"query": queries[0], "results": [{"id": other, "level": level}]}])
    change(evaluation / "scores.json", lambda s: s.update(gallery_split=None))
    (evaluation / "rankings.parquet").unlink()
    entry = read_entry(submit(evaluation, release, tmp_path / "submissions"))
    assert entry.meta.truth.gallery_split is None
    assert entry.meta.truth.gallery == entry.meta.truth.queries == 6


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../up", "a/b", "A", "-a", "a.", "a b", "é", "a\n", "<script>", "a" * 65, "\u202eevil"]
)
def test_unsafe_names_are_refused(name: str, evaluation: Path, release: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not safe as a folder"):
        submit(evaluation, release, tmp_path / "submissions", name)
    assert not (tmp_path / "submissions").exists()


def test_a_name_is_taken_once(evaluation: Path, release: Path, tmp_path: Path) -> None:
    home = submit(evaluation, release, tmp_path / "submissions", "mine")
    before = contents(home)
    with pytest.raises(UsageError, match=r"there is an entry mine in .* already: choose another name"):
        submit(evaluation, release, tmp_path / "submissions", "mine")
    assert contents(home) == before
    assert submit(evaluation, release, tmp_path / "submissions", "mine-2").name == "mine-2"


@pytest.mark.parametrize("file", ["scores.json", "per_query.parquet", "examples.json"])
def test_missing_files_are_named(file: str, evaluation: Path, release: Path, tmp_path: Path) -> None:
    (evaluation / file).unlink()
    with pytest.raises(MissingDataError, match=f"lacks {file}"):
        submit(evaluation, release, tmp_path / "submissions")


def test_the_folder_above_is_pointed_into(evaluation: Path, release: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="choose one of the evaluations in it: suphap"):
        submit(evaluation.parent, release, tmp_path / "submissions")


@pytest.mark.parametrize(
    ("path", "value", "error", "words"),
    [
        ("report.mean.h_ap", float("nan"), CorruptInputError, "h_ap is no score"),
        ("report.mean.h_ap", 1.2, CorruptInputError, "from 0 to 1"),
        ("report.mean.h_ap", "0.5", CorruptInputError, "h_ap is no score"),
        ("report.mean.h_ap", True, CorruptInputError, "h_ap is no score"),
        ("report.mean.h_ap", 10**40, CorruptInputError, "h_ap is no score"),
        ("report.mean.ndcg", None, CorruptInputError, "mean of ndcg"),
        ("report.confidence.h_ap", [0.0, 0.001], CorruptInputError, "outside of its interval"),
        ("report.confidence.h_ap", [0.5], CorruptInputError, "no interval"),
        ("report.skipped.h_ap", "none", CorruptInputError, "no interval or count"),
        ("report.mean", {}, CorruptInputError, "no scores"),
        ("report", None, CorruptInputError, "no report"),
        ("provenance.dataset.content_hash", "", IncompleteError, "lacks provenance.dataset.content_hash"),
        ("provenance.dataset.content_hash", "0" * 64, UsageError, "not made on the release"),
        ("provenance.dataset", "tiny", IncompleteError, "lacks provenance.dataset.name"),
        ("provenance.code_version", None, IncompleteError, "lacks provenance.code_version"),
        ("provenance.date", "", IncompleteError, "lacks provenance.date"),
        ("provenance.model.trained_on", None, IncompleteError, "lacks provenance.model.trained_on"),
        ("provenance.model.recipe", [1], CorruptInputError, "recipe is no mapping"),
        ("provenance", None, IncompleteError, "lacks provenance"),
        ("query_split", "validation", UsageError, "no split 'validation'"),
        ("track", None, IncompleteError, "lacks track"),
    ],
)
def test_wrong_scores_are_refused(
    path: str, value: Any, error: type[HierlandmarksError], words: str, evaluation: Path, release: Path, tmp_path: Path
) -> None:
    content = read_json(evaluation / "scores.json")
    *parents, last = path.split(".")
    target = content
    for parent in parents:
        target = target[parent]
    target[last] = value
    (evaluation / "scores.json").write_text(json.dumps(content))
    with pytest.raises(error, match=words) as caught:
        submit(evaluation, release, tmp_path / "submissions")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "submissions").exists()


def edit_rows(evaluation: Path, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = evaluation / "per_query.parquet"
    edit(pd.read_parquet(path)).to_parquet(path, index=False)


@pytest.mark.parametrize(
    ("edit", "error", "words"),
    [
        (lambda rows: rows[1:], IncompleteError, "lacks 1 of 6 queries, the first"),
        (
            lambda rows: pd.concat([rows, rows[:1]]).reset_index(drop=True),
            CorruptInputError,
            "row 7: .* is there twice",
        ),
        (lambda rows: rows.assign(query_id=["nobody", *rows.query_id[1:]]), CorruptInputError, "lacks; got 'nobody'"),
        (lambda rows: rows.drop(columns="asi"), IncompleteError, "lacks the column asi"),
        (lambda rows: rows.assign(h_ap=rows.h_ap * 0.9), CorruptInputError, "mean of h_ap is not the one"),
        (lambda rows: rows.assign(h_ap=[7.0, *rows.h_ap[1:]]), CorruptInputError, "h_ap is no score; got 7.0"),
        (lambda rows: rows.assign(h_ap=[np.inf, *rows.h_ap[1:]]), CorruptInputError, "h_ap is no score; got inf"),
        (lambda rows: rows.assign(h_ap=rows.h_ap.astype(str)), CorruptInputError, "h_ap is no column of numbers"),
    ],
)
def test_wrong_rows_are_refused(
    edit: Any, error: type[HierlandmarksError], words: str, evaluation: Path, release: Path, tmp_path: Path
) -> None:
    edit_rows(evaluation, edit)
    with pytest.raises(error, match=words):
        submit(evaluation, release, tmp_path / "submissions")


def test_a_file_that_is_no_parquet_is_refused(evaluation: Path, release: Path, tmp_path: Path) -> None:
    (evaluation / "per_query.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(CorruptInputError, match="is no Parquet file"):
        submit(evaluation, release, tmp_path / "submissions")


@pytest.mark.parametrize(
    ("edit", "error", "words"),
    [
        (lambda e: [], IncompleteError, "has no examples"),
        (lambda e: {"query": 1}, IncompleteError, "has no examples"),
        (lambda e: [*e[:1], 7], CorruptInputError, "example 2 is no query with results"),
        (lambda e: [{"query": e[0]["query"]}], CorruptInputError, "example 1 is no query"),
        (lambda e: e[0].update(query=e[0]["results"][0]["id"]), CorruptInputError, "split query .* has no image"),
        (lambda e: e[0].update(query="../../etc/passwd"), CorruptInputError, "not safe as a file name"),
        (lambda e: e[0]["results"][0].update(id="0" * 16), CorruptInputError, "split index .* has no image"),
        (lambda e: e[0]["results"][0].update(level=0), CorruptInputError, "level of .* is wrong; got 0, expected 3"),
        (lambda e: e[0]["results"][0].pop("level"), CorruptInputError, "level of .* is wrong"),
    ],
)
def test_wrong_examples_are_refused(
    edit: Any, error: type[HierlandmarksError], words: str, evaluation: Path, release: Path, tmp_path: Path
) -> None:
    content = read_json(evaluation / "examples.json")
    edited = edit(content)
    write_json(evaluation / "examples.json", edited if isinstance(edited, list | dict) and edited != {} else content)
    with pytest.raises(error, match=words):
        submit(evaluation, release, tmp_path / "submissions")


def test_levels_match_from_the_coarse_end() -> None:
    rng = np.random.default_rng(0)
    for first, second in rng.integers(-1, 2, size=(200, 2, 3)):
        slow = 0
        for a, b in zip(first[::-1], second[::-1], strict=True):
            if a != b or a == -1:
                break
            slow += 1
        assert match_level(first, second) == slow


def test_the_stage_submits_every_evaluation(release: Path, tmp_path: Path) -> None:
    for name in ("b", "a"):
        make_evaluation(tmp_path / "evaluation" / name, release, noise=0.5)
    out = tmp_path / "submissions"
    STAGE.run(Submit(), {"release": release, "evaluation": tmp_path / "evaluation"}, {"submissions": out})
    assert sorted(path.name for path in out.iterdir()) == ["a", "b", "log.jsonl"]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(IncompleteError, match="no evaluation in"):
        STAGE.run(Submit(), {"release": release, "evaluation": tmp_path / "nothing"}, {"submissions": out})
    with pytest.raises(UsageError, match="cannot count so"):
        Submit(thumbnail=0)


def test_the_command(evaluation: Path, release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "submissions"
    arguments = ["bench", "submit", "--release", str(release), "--evaluation", str(evaluation), "--out", str(out)]
    assert cli.run([*arguments, "--name", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "mine", "entry": str(out / "mine")}
    assert cli.run([*arguments, "--name", "mine"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("hierlandmarks: there is an entry mine")
    (evaluation / "examples.json").unlink()
    assert cli.run(arguments) == 2


def test_text_from_strangers_is_made_plain() -> None:
    assert plain(["a\x00b", {"k\u2066": "\ud800", "n": 1.5}, ("ok", None)]) == [
        "a�b",
        {"k�": "�", "n": 1.5},
        ("ok", None),
    ]
    assert plain("قلعة حلب, नेपाल, می‌خواهم, 👩‍🚀") == "قلعة حلب, नेपाल, می‌خواهم, 👩‍🚀"
