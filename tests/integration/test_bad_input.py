"""Wrong input through the command line: one sentence, the right exit code, nothing half-written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from hierlandmarks import cli

LANDMARKS = """landmark_id,name,supercategory,category
1,Old Church,church building,http://commons.wikimedia.org/wiki/Category:Old_Church
2,Long Bridge,road bridge,http://commons.wikimedia.org/wiki/Category:Long_Bridge
3,Deep Lake,lake,http://commons.wikimedia.org/wiki/Category:Deep_Lake
"""
PHOTOS = """landmark_id,image_id,url
1,00000000000000a1,https://upload.wikimedia.org/a1.jpg
2,00000000000000a2,https://upload.wikimedia.org/a2.jpg
3,1234567890123456,https://upload.wikimedia.org/a3.jpg
"""
RECIPE = """name: tiny
stages:
- photos: {folder: data}
- text: {model: lexical-ngrams}
- cluster: {labels: labels}
- review: {labels: labels}
- assign: {labels: labels}
- build: {}
- export: {name: tiny}
"""


@pytest.fixture
def world(tmp_path: Path, root: Path) -> Path:
    """A photo list of three landmarks, the labels folder, and a recipe for them."""
    data = tmp_path / "data"
    (data / "photos").mkdir(parents=True)
    (data / "washington_landmarks.csv").write_text(LANDMARKS)
    (data / "washington_photos.csv").write_text(PHOTOS)
    for name in ("00000000000000a1", "00000000000000a2", "1234567890123456"):
        Image.new("RGB", (32, 24), "teal").save(data / "photos" / f"{name}.jpg")
    shutil.copytree(root / "labels", tmp_path / "labels")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"the test means to change {path.name}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = cli.run(arguments)
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.err.splitlines()[-1] if captured.err else ""


def run(world: Path) -> list[str]:
    return ["run", str(world / "recipe.yaml"), "--out", str(world / "out")]


def test_the_world_is_fine_as_it_is(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(run(world)) == 0, capsys.readouterr().err
    assert (world / "out" / "release" / "MANIFEST.json").is_file()


Spoil = Callable[[Path], None]


def on(name: str, old: str, new: str) -> Spoil:
    return lambda world: edit(world / name, old, new)


LIST, SHOTS = "data/washington_landmarks.csv", "data/washington_photos.csv"
TAXONOMY, DECISIONS = "labels/taxonomy.csv", "labels/decisions.csv"


@pytest.mark.parametrize(
    ("spoil", "code", "parts"),
    [
        (on(LIST, "supercategory", "type"), 3, ["washington_landmarks.csv", "supercategory"]),
        (on(LIST, "\n2,", "\n1,"), 3, ["washington_landmarks.csv", "row 3", "'1'", "repeated"]),
        (on(LIST, LANDMARKS, ""), 3, ["washington_landmarks.csv", "empty"]),
        (on(SHOTS, PHOTOS[PHOTOS.index("1,") :], ""), 3, ["washington_photos.csv", "no rows"]),
        (on(SHOTS, "\n3,", "\n7,"), 3, ["washington_photos.csv", "row 4", "landmark 7", "add it there"]),
        (on(SHOTS, "00000000000000a2", "a2"), 3, ["washington_photos.csv", "row 3", "a2", "16"]),
        (lambda world: (world / "data/photos/00000000000000a2.jpg").unlink(), 2, ["00000000000000a2"]),
        (lambda world: shutil.rmtree(world / "data"), 2, ["washington_landmarks.csv", "does not exist"]),
        (on(DECISIONS, "hl:church,church,", "hl:chruch,church,"), 3, ["decisions.csv", "row", "hl:church"]),
        (on(DECISIONS, ",label,hl:", ",lable,hl:"), 3, ["decisions.csv", "row", "lable"]),
        (on(TAXONOMY, "hl:bridge,", "hl:church,"), 3, ["taxonomy.csv", "row", "hl:church", "repeated"]),
        (on(TAXONOMY, ",natural,", ",naturel,"), 3, ["taxonomy.csv", "row", "naturel"]),
        (on("recipe.yaml", "folder: data", "foldr: data"), 1, ["foldr", "did you mean folder?"]),
        (on("recipe.yaml", "- cluster", "- clutser"), 1, ["clutser", "did you mean cluster?"]),
    ],
    ids=lambda value: "-".join(value)[:40] if isinstance(value, list) else "",
)
def test_one_sentence_and_nothing_half_written(
    world: Path, spoil: Spoil, code: int, parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(world)
    found, message = refused(run(world), capsys)
    assert found == code, message
    assert message.startswith("hierlandmarks: ")
    for part in parts:
        assert part in message
    left = [path for path in world.rglob("*") if path.suffix in (".part", ".old")]
    assert not left
    assert not (world / "out" / "release").exists()


def test_a_refused_run_leaves_the_last_good_one(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(run(world)) == 0
    before = {path: path.read_bytes() for path in (world / "out" / "labels").iterdir()}
    edit(world / DECISIONS, "hl:church,church,", "hl:chruch,church,")
    assert refused(run(world), capsys)[0] == 3
    assert before == {path: path.read_bytes() for path in (world / "out" / "labels").iterdir()}


@pytest.fixture(scope="module")
def gldv2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in GLDv2's layout, drawn once."""
    folder = tmp_path_factory.mktemp("gldv2")
    (folder / "recipe.yaml").write_text("name: draw\nstages:\n- mini: {size: 32}\n")
    assert cli.run(["run", str(folder / "recipe.yaml"), "--out", str(folder / "out")]) == 0
    return folder / "out" / "source"


@pytest.mark.parametrize(
    ("name", "old", "new", "parts"),
    [
        ("train.csv", "id,url", "image,url", ["train.csv", "column id"]),
        ("train.csv", "\n0", "\nxyz0", ["train.csv", "row", "16"]),
        ("index_image_to_landmark.csv", ",1\n", ",999999\n", ["index_image_to_landmark.csv", "row", "999999"]),
        ("train_label_to_category.csv", "landmark_id", "id", ["train_label_to_category.csv", "landmark_id"]),
    ],
)
def test_gldv2_files_are_checked(
    gldv2: Path, tmp_path: Path, name: str, old: str, new: str, parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(gldv2 / "metadata", tmp_path / "root" / "metadata")
    shutil.copytree(gldv2 / "ground_truth", tmp_path / "root" / "ground_truth")
    (tmp_path / "recipe.yaml").write_text("name: read\nstages:\n- metadata: {root: root}\n")
    edit(tmp_path / "root" / "metadata" / name, old, new)
    found, message = refused(run(tmp_path), capsys)
    assert found == 3, message
    for part in parts:
        assert part in message
    assert not (tmp_path / "out" / "tables").exists()
