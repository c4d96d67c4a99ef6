"""The recipe on real landmarks and photos, trained so briefly that the way is tested and not the figures."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hierlandmarks import cli
from hierlandmarks.schema import ASSIGNMENTS
from hierlandmarks.tables import read_csv, read_table
from tests.tinyclip import save_tiny_clip

pytestmark = [pytest.mark.shared, pytest.mark.slow]

QUICK = '["epochs=1", "data.size=32", "data.embedded=32", "data.stored=40"]'


@pytest.fixture(scope="module")
def out(root: Path, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of pipelines/recipes/washington.yaml."""
    folder = tmp_path_factory.mktemp("washington") / "out"
    recipe = root / "pipelines" / "recipes" / "washington.yaml"
    assert cli.run(["run", str(recipe), "--out", str(folder), "--set", f"train.set={QUICK}", "--json"]) == 0
    return folder


def test_decisions_agree_with_the_published_labels(out: Path, shared: Path) -> None:
    """Where GLDv2 publishes a label for one of the photographed landmarks, ours is the same."""
    photos = read_csv(
        shared / "data/gldv2/washington_photos.csv", ["landmark_id", "hierarchical_label", "natural_or_human_made"]
    )
    published = {row["landmark_id"]: row for row in photos.to_pylist() if row["hierarchical_label"]}
    ours = read_csv(
        out / "labels/train_label_to_hierarchical.csv",
        ["landmark_id", "hierarchical_label", "natural_or_human_made"],
        key=["landmark_id"],
    )
    differing = [
        (row["landmark_id"], row["hierarchical_label"], published[row["landmark_id"]]["hierarchical_label"])
        for row in ours.to_pylist()
        if row["landmark_id"] in published
        and row["hierarchical_label"] != published[row["landmark_id"]]["hierarchical_label"]
    ]
    assert len(published) >= 20
    assert len(differing) <= 1, differing


def test_every_landmark_is_placed_or_explained(out: Path) -> None:
    labels = read_csv(out / "labels/train_label_to_hierarchical.csv", ["landmark_id", "hierarchical_label"])
    unplaced = read_csv(out / "labels/unplaced.csv", ["landmark_id", "reason"], key=["landmark_id"])
    empty = {row["landmark_id"] for row in labels.to_pylist() if not row["hierarchical_label"]}
    assert labels.num_rows == 515
    assert empty == set(unplaced["landmark_id"].to_pylist())
    assert all(unplaced["reason"].to_pylist())


def test_splits_are_disjoint_in_landmarks(out: Path) -> None:
    import hierlandmarks as hl

    train, validation = (set(hl.load(out / "release", split=s).images["landmark_id"]) for s in ("train", "validation"))
    assert train
    assert validation
    assert not train & validation


def test_scores_come_level_by_level(out: Path) -> None:
    scores = json.loads((out / "evaluation/washington/scores.json").read_text())["report"]["mean"]
    for name in ("h_ap", "ndcg", "asi", *(f"{m}_{c}" for m in ("map_at_r", "recall_at_1") for c in range(3))):
        assert 0 <= scores[name] <= 1


@pytest.mark.browser
def test_the_page_shows_entry_bars_and_gallery(out: Path, chromium: Any) -> None:
    chromium.get((out / "leaderboard/index.html").as_uri())
    text = chromium.find_element("css selector", "body").text
    for part in ("washington", "untrained", "colour-histogram", "mAP@R by level", "R@1 by level", "What they find"):
        assert part in text
    photos = [photo for photo in chromium.find_elements("css selector", ".entry[open] .photo") if photo.is_displayed()]
    assert len(photos) > 20
    colours = Image.open(io.BytesIO(photos[0].screenshot_as_png)).convert("RGB").getcolors(1 << 20)
    assert colours is not None
    assert len(colours) > 100, "the first query is a photo, not a blank"


def _sparse(path: Path, to: Path, every: int) -> Path:
    """The header and one row in `every` of a CSV."""
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    to.write_text("\n".join([header, *rows[::every], ""]), encoding="utf-8")
    return to


def test_photos_count_where_a_recipe_names_them(
    root: Path, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Off by default; named, they are one more thing that speaks, and pictures seen once are not seen again."""
    monkeypatch.setenv("HIERLANDMARKS_HOME", str(tmp_path / "home"))
    save_tiny_clip(tmp_path / "clip", words=("church", "lake", "bridge", "park"))
    data = shared / "data/gldv2"
    train = _sparse(data / "train_label_sample.csv", tmp_path / "train.csv", every=10)
    photos = _sparse(data / "washington_photos.csv", tmp_path / "photos.csv", every=7)
    sets = {
        "text.model": "lexical-ngrams",
        "assign.model": "lexical-ngrams",
        "assign.train": train,
        "assign.photos.listed": photos,
        "assign.photos.folder": data / "photos",
        "assign.photos.model": tmp_path / "clip",
    }

    def assigned(*more: str) -> int:
        flags = [flag for name, value in sets.items() for flag in ("--set", f"{name}={value}")]
        recipe = str(root / "pipelines" / "recipes" / "washington.yaml")
        return cli.run(["run", recipe, "--out", str(tmp_path / "out"), "--until", "assign", *flags, *more])

    assert assigned() == 0
    table = read_table(tmp_path / "out/tables/assignments.parquet", ASSIGNMENTS).to_pylist()
    listed = set(read_csv(photos, ["landmark_id"])["landmark_id"].to_pylist())
    open_ones = [row for row in table if row["reason"].partition(" says ")[0].startswith("name")]
    told = {row["landmark_id"] for row in open_ones if "photo" in row["reason"].partition(" says ")[0]}
    assert told, "some landmark without a decided type has photos"
    assert told == {row["landmark_id"] for row in open_ones} & listed
    (kept,) = (tmp_path / "home/photo-vectors").iterdir()
    with closing(sqlite3.connect(kept)) as vectors:
        assert vectors.execute("SELECT count(*) FROM vectors").fetchone()[0] == 400
    capsys.readouterr()

    before = (tmp_path / "out/tables/assignments.parquet").read_bytes()
    sets["assign.photos.folder"] = tmp_path / "nowhere"
    assert assigned() == 2
    assert "there is no folder of pictures" in capsys.readouterr().err
    sets["assign.photos.model"], sets["assign.photos.folder"] = tmp_path / "nothing", data / "photos"
    assert assigned() == 2
    assert f"the photo model '{tmp_path / 'nothing'}' cannot be loaded" in capsys.readouterr().err
    del sets["assign.train"]
    assert assigned() == 1
    assert "set train" in capsys.readouterr().err
    assert (tmp_path / "out/tables/assignments.parquet").read_bytes() == before
