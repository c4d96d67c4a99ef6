"""What docs/photos.md shows is what benchmark/perf/results holds, and every run of the comparison is a recipe."""

from __future__ import annotations

import dataclasses
import runpy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hierlandmarks_benchmark.recipe import load_recipe


@pytest.fixture
def perf(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(root / "benchmark/perf")
    return runpy.run_path(str(root / "benchmark/perf/photos.py")) | runpy.run_path(
        str(root / "benchmark/perf/photos_report.py")
    )


def test_the_table_is_the_one_of_the_results(root: Path, perf: dict[str, Any]) -> None:
    page = (root / "docs/photos.md").read_text(encoding="utf-8")
    by_loss = pd.read_csv(root / "benchmark/perf/results/photos_losses.csv")
    assert perf["filled"](page, by_loss) == page
    assert "SupHAP + proxy" in page


def test_runs_differ_in_loss_and_seed_only(perf: dict[str, Any]) -> None:
    first = load_recipe("photos", perf["settings"]("suphap-0"))
    for run in perf["RUNS"]:
        recipe = load_recipe("photos", perf["settings"](run))
        assert recipe.name == f"photos-{run}"
        if run != perf["PRETRAINED"]:
            watched = dataclasses.replace(recipe.data, validation=first.data.validation)
            same = {"name": first.name, "seed": first.seed, "loss": first.loss, "data": watched}
            assert dataclasses.replace(recipe, **same) == first
    losses = {
        str(load_recipe("photos", perf["settings"](f"{loss}-0")).loss) for loss in perf["LOSSES"] | perf["BESIDES"]
    }
    assert len(losses) == 11


def test_summaries_pair_queries_and_count_seeds(perf: dict[str, Any]) -> None:
    def frame(*values: float) -> pd.DataFrame:
        columns = {key: list(values) for key in perf["COLUMNS"]}
        return pd.DataFrame(columns, index=pd.Index([f"q{i}" for i in range(len(values))], name="query_id"))

    queries = {
        "photos-suphap-0": frame(0.2, 0.9),
        "photos-suphap-1": frame(0.4, 0.9),
        "photos-triplet-0": frame(0.2, 0.8),
    }
    found = perf["summarise"](queries).set_index("method")
    assert found.loc["suphap", "h_ap"] == pytest.approx(0.6)
    assert found.loc["suphap", ["seeds", "worst_seed", "best_seed"]].tolist() == pytest.approx([2, 0.55, 0.65])
    for column in ("over_triplet", "over_triplet_low", "over_triplet_high"):
        assert found.loc["suphap", column] == pytest.approx(0.1, abs=1e-6)
        assert found.loc["triplet", column] == pytest.approx(0)
