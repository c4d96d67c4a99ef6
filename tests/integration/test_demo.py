"""The whole arrow on the bundled world, as a newcomer runs it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from hierlandmarks.schema import HIERARCHICAL_CSV

pytestmark = pytest.mark.slow


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_it_leaves_what_it_promises(demo: Any) -> None:
    for path in ("labels", "release", "model", "leaderboard/index.html"):
        assert (demo.out / path).exists(), path
    assert demo.data["paths"]["leaderboard"].endswith("index.html")
    assert not list(demo.out.rglob("*.part")), "something half-written was left behind"


@pytest.mark.parametrize("space", ["train", "index"])
def test_label_csvs_are_in_the_official_format(demo: Any, space: str) -> None:
    path = demo.out / "labels" / f"{space}_label_to_hierarchical.csv"
    found = rows(path)
    assert tuple(found[0]) == HIERARCHICAL_CSV
    ids = [int(row["landmark_id"]) for row in found]
    assert ids == sorted(set(ids))
    assert {row["natural_or_human_made"] for row in found} <= {"natural", "human-made", ""}


def test_unlabelled_landmarks_stay_in_the_file(demo: Any) -> None:
    assert any(row["hierarchical_label"] == "" for row in rows(demo.out / "labels/train_label_to_hierarchical.csv"))


def test_mini_is_as_large_as_it_says(demo: Any) -> None:
    both = rows(demo.out / "labels/train_label_to_hierarchical.csv") + rows(
        demo.out / "labels/index_label_to_hierarchical.csv"
    )
    assert len({row["category"] for row in both}) >= 110
    assert len({row["hierarchical_label"] for row in both} - {""}) >= 12


def test_same_category_same_label_in_both_spaces(demo: Any) -> None:
    train, index = (
        {row["category"]: row["hierarchical_label"] for row in rows(demo.out / f"labels/{s}_label_to_hierarchical.csv")}
        for s in ("train", "index")
    )
    shared = set(train) & set(index) - {""}
    assert shared
    assert all(train[category] == index[category] for category in shared)


def test_release_reads_in_the_ecosystem(demo: Any, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(demo.out / "release" / "README.md")
    splits = {split["split"]: split["path"] for split in card.data.to_dict()["configs"][0]["data_files"]}
    assert set(splits) == {"train", "index", "query"}
    files = {split: [str(p) for p in (demo.out / "release").glob(path)] for split, path in splits.items()}
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path))
    assert {name: len(split) for name, split in loaded.items()} == {
        name: split["rows"] for name, split in demo.data["release"]["splits"].items()
    }


def test_the_model_learnt_something(demo: Any) -> None:
    scores = demo.data["scores"]
    trained = next(name for name in scores if name not in ("untrained", "colour-histogram"))
    assert scores[trained]["h_ap"] > scores["untrained"]["h_ap"] + 0.05
    assert scores[trained]["h_ap"] > scores["colour-histogram"]["h_ap"]


def test_scores_carry_their_provenance(demo: Any) -> None:
    for path in (demo.out / "evaluation").glob("*/scores.json"):
        provenance = json.loads(path.read_text())["provenance"]
        assert {"dataset", "code_version", "model", "hardware"} <= set(provenance), path
        assert provenance["dataset"]["content_hash"] == demo.data["release"]["content_hash"]


def test_again_costs_nothing(demo: Any, installation: Any) -> None:
    done = installation.run("demo", "--out", "demo", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("up to date") >= 14


def test_load_from_the_wheel(installation: Any) -> None:
    done = installation.run("info", "mini", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "mini"
