"""The tracks that ship, each on what it is for: the bundled world, the official files, real photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hierlandmarks as hl
from hierlandmarks import cli
from hierlandmarks.metrics import evaluate_gldv2
from hierlandmarks.metrics.kaggle import read_solution, write_predictions
from hierlandmarks_benchmark.entries import read_entry
from hierlandmarks_benchmark.leaderboard import read_board
from hierlandmarks_benchmark.tracks import load_track
from hierlandmarks_pipelines import synthetic

SOLUTION = "ground_truth/retrieval_solution_v2.1.csv"


def submit(track: str, release: Path | str, out: Path, name: str, *more: object) -> Path:
    given = ["--track", track, "--release", release, "--out", out, "--name", name, *more]
    assert cli.run(["bench", "submit", *map(str, given)]) == 0
    return out / name


@pytest.mark.slow
def test_mini_is_the_version_its_track_pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a change of mini: add the new hash at the end of those in tracks/mini.yaml, and `make baselines`."""
    monkeypatch.setenv("HIERLANDMARKS_HOME", str(tmp_path))
    assert hl.load("mini").content_hash == load_track("mini").ground_truths[-1]


def test_the_official_files_are_a_track(tmp_path: Path) -> None:
    """Straight from GLDv2's own CSVs: its file of predictions in, the official score and the hierarchical ones out."""
    synthetic.write_metadata(tmp_path / "gldv2", 0.001)
    index = hl.load(tmp_path / "gldv2", split="index").images["id"].to_numpy()
    solution = read_solution(tmp_path / "gldv2" / SOLUTION)
    rng = np.random.default_rng(0)
    right = {query: sorted(positives) for query, positives in solution.images.items()}
    lists = {
        query: list(dict.fromkeys([*right.get(query, ())[:2], *rng.choice(index, 60, replace=False)]))[:50]
        for query in solution.usage
    }
    write_predictions(tmp_path / "predictions.csv", lists)
    given = (
        "--rankings",
        tmp_path / "predictions.csv",
        "--ground-truth",
        tmp_path / "gldv2" / SOLUTION,
        "--examples",
        0,
    )
    entry = read_entry(submit("h-gldv2", tmp_path / "gldv2", tmp_path / "submissions", "mine", *given))
    official = evaluate_gldv2(lists, tmp_path / "gldv2" / SOLUTION, resamples=1).parts
    for part in ("Public", "Private"):
        stated = entry.scores[f"official_map_at_100_{part.lower()}"].value
        assert stated == pytest.approx(official[part]["map_at_100"], nan_ok=True)
    for column in ("h_ap", "ndcg", "asi", *(f"map_at_100_{level}" for level in range(3))):
        assert 0 < (entry.scores[column].value or 0) < 1, column
    (ranking,) = read_board(tmp_path / "submissions").rankings
    assert (ranking.track, ranking.primary, ranking.truth.depth) == ("h-gldv2", "h_ap", 100)


@pytest.mark.shared
@pytest.mark.slow
def test_photos_are_the_version_their_track_pins(root: Path, shared: Path, tmp_path: Path) -> None:
    """The release of the real photos at hand; what is on the track is searched among the other photos."""
    recipe = root / "pipelines" / "recipes" / "washington.yaml"
    assert cli.run(["run", str(recipe), "--out", str(tmp_path / "out"), "--until", "export"]) == 0
    release = tmp_path / "out" / "release"
    assert hl.load(release).content_hash == load_track("photos").ground_truths[-1]
    for name in ("random", "oracle"):
        submit("photos", release, tmp_path / "submissions", name, "--model", f"baseline:{name}", "--examples", 0)
    scores = {
        row.entry.meta.name: row.entry.scores["h_ap"].value or 0
        for row in read_board(tmp_path / "submissions").rankings[0].rows
    }
    assert 0.9 < scores["oracle"] < 1  # by level: proportional relevance is not monotone where a label is large
    assert scores["random"] < 0.3


def test_another_version_is_refused_or_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.board import make_release

    release = make_release(tmp_path / "release")
    text = "name: own\nabout: A track.\nquery_split: query\ngallery_split: index\n"
    pinned = hl.load(release).content_hash
    for strict, code in (("true", 1), ("false", 0)):
        (tmp_path / "own.yaml").write_text(f"{text}ground_truths: ['{pinned}', '{'0' * 64}']\nstrict: {strict}\n")
        given = ["--track", tmp_path / "own.yaml", "--release", release, "--model", "baseline:random"]
        more = ["--name", "random", "--out", tmp_path / "s"]
        assert cli.run(["bench", "submit", *map(str, [*given, *more])]) == code
        assert ("is an older version of the ground truth of own" in capsys.readouterr().err) == (code == 1)
