"""The entries in the repository: whole, what their rankings give, and in the tables of their page."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hierlandmarks_benchmark.entries import read_entries
from hierlandmarks_benchmark.intake.rescore import rescore
from hierlandmarks_benchmark.intake.truth import find_truth
from hierlandmarks_benchmark.leaderboard import read_board
from hierlandmarks_benchmark.leaderboard.readme import fill
from hierlandmarks_benchmark.losses import __all__ as losses
from hierlandmarks_benchmark.tracks import load_track

WRAPPERS = {"CrossBatchMemory", "WeightedLoss"}
MOST_BYTES = 3_500_000


@pytest.fixture(scope="module")
def home(root: Path) -> Path:
    return root / "benchmark" / "leaderboard"


def test_the_tables_of_the_page_are_those_of_the_entries(home: Path) -> None:
    text = (home / "README.md").read_text(encoding="utf-8")
    assert fill(text, read_board(home / "submissions"), "README.md") == text, "run `make card`"


def test_every_entry_is_on_a_track_that_ships_and_as_the_log_has_it(home: Path) -> None:
    board = read_board(home / "submissions")
    for ranking in board.rankings:
        track = load_track(ranking.track)
        assert (ranking.current, ranking.truth.content_hash) == (True, track.ground_truths[-1])
    assert not [entry.meta.name for entry in board.entries if "not as the log of submissions has it" in entry.notes]
    assert not [entry.meta.name for entry in board.entries if "dirty" in entry.meta.code_version]


def test_every_loss_and_what_needs_no_training_is_on_mini(home: Path) -> None:
    names = {entry.meta.name for entry in read_entries(home / "submissions") if entry.meta.track == "mini"}
    wanted = {name.removesuffix("Loss").lower() for name in set(losses) - WRAPPERS}
    assert names >= {f"mini-{name}" for name in wanted | {"random", "oracle", "colour-histogram", "untrained"}}


def test_they_are_small_and_hold_no_pictures_of_others(home: Path) -> None:
    files = [path for path in (home / "submissions").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    assert {path.parents[1].name.split("-")[0] for path in files if path.suffix == ".jpg"} == {"mini"}


@pytest.mark.slow
def test_scored_again_they_are_up_to_date(
    home: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIERLANDMARKS_HOME", str(tmp_path_factory.mktemp("home")))
    shutil.copytree(home / "submissions", tmp_path / "submissions")
    assert set(rescore(tmp_path / "submissions", find_truth("mini", None, None)).values()) == {"up to date"}
