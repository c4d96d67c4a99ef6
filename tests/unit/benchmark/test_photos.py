"""What docs/photos.md shows is what benchmark/perf/results holds, and every run of the comparison is a recipe."""

from __future__ import annotations

import dataclasses
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hierlandmarks_benchmark.efficientnet import EfficientNetLite0
from hierlandmarks_benchmark.recipe import load_recipe


@pytest.fixture
def perf(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(root / "benchmark/perf")
    names = ("intervals", "losses", "body", "search", "report")
    files = [root / "benchmark/perf/photos.py", *(root / f"benchmark/perf/photos_{name}.py" for name in names)]
    return {name: value for file in files for name, value in runpy.run_path(str(file)).items()}


def test_the_tables_are_those_of_the_results(root: Path, perf: dict[str, Any]) -> None:
    page = (root / "docs/photos.md").read_text(encoding="utf-8")
    results = root / "benchmark/perf/results"
    by_loss, trials = (pd.read_csv(results / f"{name}.csv") for name in ("photos_losses", "photos_search"))
    assert perf["filled"](page, by_loss, trials) == page
    for content in (perf["table"](by_loss), perf["distances"](by_loss), perf["table_of_settings"](trials)):
        assert content in page


def test_runs_differ_in_loss_its_settings_and_seed_only(perf: dict[str, Any]) -> None:
    first = load_recipe("photos", perf["settings"]("suphap-0"))
    for run in perf["RUNS"]:
        recipe = load_recipe("photos", perf["settings"](run))
        assert recipe.name == f"photos-{run}"
        if run != perf["PRETRAINED"]:
            same = {
                "name": first.name,
                "seed": first.seed,
                "loss": first.loss,
                "data": dataclasses.replace(recipe.data, validation=first.data.validation),
                "optimiser": dataclasses.replace(recipe.optimiser, learning_rate=first.optimiser.learning_rate),
            }
            assert dataclasses.replace(recipe, **same) == first
    assert len({str(load_recipe("photos", perf["settings"](f"{loss}-0")).loss) for loss in perf["LOSSES"]}) == 11


def test_every_loss_has_as_many_trials_and_its_best_is_taken(root: Path, perf: dict[str, Any]) -> None:
    assert {len(loss.trials()) for loss in perf["LOSSES"].values()} == {12}
    trials = pd.read_csv(root / "benchmark/perf/results/photos_search.csv")
    assert (trials.groupby("loss").size() == 12).all()
    assert set(trials["loss"]) == set(perf["LOSSES"])
    for loss, found in perf["LOSSES"].items():
        mine = trials[trials["loss"] == loss]
        assert sorted(zip(mine["rate"], mine["value"], strict=True)) == sorted(found.trials())
        taken = mine.loc[mine["h_ap"].idxmax()]
        assert perf["chosen"](loss) == found.settings(taken["rate"], taken["value"])


def test_folds_keep_landmarks_whole_and_labels_apart(perf: dict[str, Any]) -> None:
    landmark = np.repeat(np.arange(12), [9, 1, 4, 2, 8, 3, 5, 7, 6, 2, 2, 3])
    labels = np.stack([landmark, landmark % 4, landmark % 2], axis=1)
    folds = perf["deal"](labels)
    for which in range(12):
        assert len(set(folds[landmark == which])) == 1
    for fold in range(3):
        assert set(labels[folds == fold, 1]) == {0, 1, 2, 3}  # three landmarks a label, one in each
    assert np.bincount(folds).max() <= np.bincount(folds).min() + 6


def test_the_frozen_part_is_remembered_and_nothing_changes(perf: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network, other = EfficientNetLite0(frozen=16).train(), EfficientNetLite0(frozen=16).train()
    pictures = torch.rand(2, 3, 32, 32)
    plain = network(pictures), other(pictures)
    with perf["remembered"]() as known:
        for _ in range(2):
            assert torch.equal(network(pictures), plain[0])
            assert torch.equal(other(pictures), plain[1])
        assert len(known) == 2
        network(pictures + 0.1)
        assert len(known) == 3
        found = network(pictures).sum()
    found.backward()
    assert network.head.conv.weight.grad is not None
    network(pictures)
    assert len(known) == 3


def test_summaries_pair_seeds_and_queries_and_count_landmarks(perf: dict[str, Any]) -> None:
    ids = [f"q{i}" for i in range(4)]

    def frame(*values: float) -> pd.DataFrame:
        return pd.DataFrame({key: list(values) for key in perf["COLUMNS"]}, index=pd.Index(ids, name="query_id"))

    queries = {
        "photos-suphap-0": frame(0.2, 0.2, 0.9, 0.9),
        "photos-suphap-1": frame(0.4, 0.4, 0.9, 0.9),
        "photos-triplet-0": frame(0.1, 0.1, 0.8, 0.8),
        "photos-triplet-1": frame(0.3, 0.3, 0.8, 0.8),
    }
    found = perf["summarise"](queries, pd.Series([7, 7, 3, 3], index=ids)).set_index("method")
    assert found.loc["suphap", "h_ap"] == pytest.approx(0.6)
    assert found.loc["suphap", ["seeds", "worst_seed", "best_seed"]].tolist() == pytest.approx([2, 0.55, 0.65])
    half = 12.7062 * 0.05  # t of one degree of freedom, times the standard error of 0.55 and 0.65
    ends = ["h_ap_seeds_low", "h_ap_seeds_high"]
    assert found.loc["suphap", ends].tolist() == pytest.approx([0.6 - half, 0.6 + half], abs=1e-5)
    assert found.loc["suphap", ["h_ap_landmarks_low", "h_ap_landmarks_high"]].tolist() == pytest.approx([0.3, 0.9])
    for kind in ("seeds", "queries", "landmarks"):  # what the two share drops out
        for end in ("low", "high"):
            assert found.loc["suphap", f"over_triplet_{kind}_{end}"] == pytest.approx(0.1, abs=1e-6)
    assert found.loc["suphap", "over_triplet"] == pytest.approx(0.1)


def test_whole_landmarks_are_drawn(perf: dict[str, Any]) -> None:
    values = np.repeat(np.random.default_rng(0).random(20), 30)
    landmarks = np.repeat(np.arange(20), 30)
    alike = perf["over_landmarks"](values, landmarks)
    one_each = perf["over_landmarks"](values, np.arange(len(values)))
    queries = perf["over_queries"](values)
    assert one_each == pytest.approx(queries, abs=0.003)
    assert (alike[1] - alike[0]) / (queries[1] - queries[0]) == pytest.approx(np.sqrt(30), rel=0.1)
