"""Rankings that an evaluation kept: checked when it is handed in, scored again as far as they go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierlandmarks import cli
from hierlandmarks.errors import CorruptInputError, MissingDataError, UsageError
from hierlandmarks.tables import file_sha256, read_json, write_json
from hierlandmarks_benchmark.entries import read_entry
from hierlandmarks_benchmark.intake.evaluated import hand_in_evaluation
from hierlandmarks_benchmark.intake.rescore import rescore
from hierlandmarks_benchmark.intake.truth import GroundTruth
from hierlandmarks_benchmark.leaderboard import read_board
from hierlandmarks_benchmark.submit import Submit, submit
from tests.board import edit_file, edit_meta, make_evaluation, make_release
from tests.handin import ranked, truth_of, write_csv

NOTHING = {"by": "", "link": "", "contamination": ""}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("drawn") / "release")


@pytest.fixture
def truth(drawn: Path, tmp_path: Path) -> GroundTruth:
    return truth_of(drawn, tmp_path)


@pytest.fixture
def evaluation(drawn: Path, tmp_path: Path) -> Path:
    return make_evaluation(tmp_path / "evaluation" / "mine", drawn, 0.5)


def swap(path: Path) -> None:
    """Turn every list around."""
    table = pq.read_table(path)
    lists = [images[::-1] for images in table["images"].to_pylist()]
    pq.write_table(pa.table({"query_id": table["query_id"], "images": lists}), path)


def test_an_evaluation_scores_the_same_through_its_rankings(
    evaluation: Path, drawn: Path, truth: GroundTruth, tmp_path: Path
) -> None:
    plain = read_entry(submit(evaluation, drawn, tmp_path / "submissions"))
    home, _ = hand_in_evaluation(evaluation, truth, tmp_path / "submissions", "again", NOTHING, Submit())
    entry = read_entry(home)
    for column, score in entry.scores.items():
        assert score.value == pytest.approx(plain.scores[column].value, abs=1e-12), column
    assert (entry.meta.model, entry.meta.source) == (plain.meta.model, "evaluation")
    assert entry.meta.inputs["rankings.parquet"] == file_sha256(evaluation / "rankings.parquet")
    assert len(read_board(home.parent).rankings) == 1  # comparable
    assert rescore(home.parent, truth) == {"again": "up to date", "mine": "up to date"}


def test_lists_that_are_not_those_of_the_scores_are_refused(evaluation: Path, drawn: Path, tmp_path: Path) -> None:
    swap(evaluation / "rankings.parquet")
    with pytest.raises(CorruptInputError, match=r"of these lists is not the one in the scores.*evaluate again"):
        submit(evaluation, drawn, tmp_path / "submissions")
    assert not (tmp_path / "submissions").exists()


def test_an_entry_with_other_lists_is_found_out_when_it_is_rescored(
    evaluation: Path, drawn: Path, truth: GroundTruth, tmp_path: Path
) -> None:
    home = submit(evaluation, drawn, tmp_path / "submissions")
    before = read_entry(home).scores["h_ap"].value
    swap(home / "rankings.parquet")
    edit_meta(home, lambda meta: meta["files"].update({"rankings.parquet": file_sha256(home / "rankings.parquet")}))
    assert rescore(home.parent, truth) == {"mine": "rescored"}  # what its lists give counts, not what it says
    assert (read_entry(home).scores["h_ap"].value or 1) < (before or 0)


def test_a_short_entry_is_checked_as_far_as_it_goes(
    evaluation: Path, drawn: Path, truth: GroundTruth, tmp_path: Path
) -> None:
    home = submit(evaluation, drawn, tmp_path / "submissions", params=Submit(keep=4, examples=0))
    entry = read_entry(home)
    assert entry.examples == ()
    assert {len(images) for images in pq.read_table(home / "rankings.parquet")["images"].to_pylist()} == {4}
    said = rescore(home.parent, truth)["mine"]
    assert said.startswith("up to date: it keeps 4 results a query, which decide ")
    assert said.endswith("those are right")

    def lie(scores: Any) -> None:
        scores["report"]["mean"]["recall_at_1_0"] = 0.123
        scores["report"]["confidence"]["recall_at_1_0"] = [0.1, 0.2]

    edit_file(home, "scores.json", lie)
    frame = pq.read_table(home / "per_query.parquet").to_pandas().assign(recall_at_1_0=0.123)
    frame.to_parquet(home / "per_query.parquet", index=False)
    edit_meta(home, lambda meta: meta["files"].update({"per_query.parquet": file_sha256(home / "per_query.parquet")}))
    with pytest.raises(CorruptInputError, match="recall_at_1_0 of these lists is not the one in the scores"):
        rescore(home.parent, truth)


def test_a_short_entry_cannot_be_brought_to_another_ground_truth(
    evaluation: Path, drawn: Path, truth: GroundTruth, tmp_path: Path
) -> None:
    home = submit(evaluation, drawn, tmp_path / "submissions", params=Submit(keep=4))
    edit_meta(home, lambda meta: meta["truth"].update(content_hash="0" * 64))
    before = (home / "meta.yaml").read_bytes()
    said = rescore(home.parent, truth)["mine"]
    assert said == (
        "cannot be rescored: it keeps 4 results a query, and h_ap counts 24; submit it again from its embeddings"
    )
    assert (home / "meta.yaml").read_bytes() == before


def test_what_was_handed_in_as_lists_is_kept_whole_and_what_was_ranked_may_be_cut(
    drawn: Path, truth: GroundTruth, tmp_path: Path
) -> None:
    lists = {query: images[:5] for query, images in ranked(truth).items()}
    given = ["--track", tmp_path / "tiny.yaml", "--release", drawn, "--out", tmp_path / "s", "--keep", 3]
    for name, more in {
        "lists": ("--rankings", write_csv(tmp_path / "a.csv", lists)),
        "chance": ("--model", "baseline:random"),
    }.items():
        assert cli.run(["bench", "submit", *map(str, [*given, "--name", name, *more])]) == 0
    kept = {
        n: pq.read_table(tmp_path / "s" / n / "rankings.parquet")["images"].to_pylist() for n in ("lists", "chance")
    }
    assert {name: {len(images) for images in found} for name, found in kept.items()} == {"lists": {5}, "chance": {3}}
    said = rescore(tmp_path / "s", truth)
    assert said["lists"] == "up to date"
    assert said["chance"].startswith("up to date: it keeps 3 results a query, which decide")


def test_a_track_that_counts_fewer_results_takes_a_short_evaluation(
    evaluation: Path, drawn: Path, tmp_path: Path
) -> None:
    table = pq.read_table(evaluation / "rankings.parquet")
    pq.write_table(table.set_column(1, "images", [[x[:5] for x in table["images"].to_pylist()]]),
                   evaluation / "rankings.parquet")  # fmt: skip
    with pytest.raises(UsageError, match=r"kept too few results.*got 5, expected 24.*--embeddings"):
        hand_in_evaluation(evaluation, truth_of(drawn, tmp_path), tmp_path / "s", None, NOTHING, Submit())
    top = truth_of(drawn, tmp_path, depth=3)
    home, report = hand_in_evaluation(evaluation, top, tmp_path / "s", None, NOTHING, Submit())
    assert read_entry(home).meta.truth.depth == 3
    assert rescore(home.parent, top) == {"mine": "up to date"}
    assert 0 < report.mean["h_ap"] < 1


def test_an_evaluation_has_to_fit_its_track(evaluation: Path, truth: GroundTruth, tmp_path: Path) -> None:
    (evaluation / "rankings.parquet").rename(evaluation / "r")
    with pytest.raises(MissingDataError, match=r"lacks rankings.parquet"):
        hand_in_evaluation(evaluation, truth, tmp_path / "s", None, NOTHING, Submit())
    (evaluation / "r").rename(evaluation / "rankings.parquet")
    scores = read_json(evaluation / "scores.json")
    scores["provenance"]["dataset"]["content_hash"] = "0" * 64
    write_json(evaluation / "scores.json", scores)
    with pytest.raises(UsageError, match="was not made on the release of the track tiny"):
        hand_in_evaluation(evaluation, truth, tmp_path / "s", None, NOTHING, Submit())
    assert not (tmp_path / "s").exists()


def test_the_command_takes_an_evaluation_on_a_track(
    evaluation: Path, drawn: Path, truth: GroundTruth, tmp_path: Path
) -> None:
    given = ["--track", tmp_path / "tiny.yaml", "--release", drawn, "--out", tmp_path / "s", "--examples", 0]
    assert cli.run(["bench", "submit", "--evaluation", str(evaluation), *map(str, given), "--by", "Ada"]) == 0
    entry = read_entry(tmp_path / "s" / "mine")
    assert (entry.meta.by, entry.examples, entry.meta.model.name) == ("Ada", (), "resnet18")
