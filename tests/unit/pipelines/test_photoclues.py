"""Photos as a clue: the arithmetic against slow twins, and the real loading code with a tiny CLIP."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hierlandmarks.cli import run
from hierlandmarks.errors import CorruptInputError, MissingDataError, TableError, UsageError
from hierlandmarks_pipelines.labelfiles import Label, Taxonomy, label_files, read_taxonomy
from hierlandmarks_pipelines.photoclues import (
    TEMPLATES,
    majority,
    neighbours,
    prompt_vectors,
    prompts,
    zero_shot,
)
from hierlandmarks_pipelines.photogallery import Photos, read_gallery
from hierlandmarks_pipelines.photomodel import PhotoModel, load_photo_model
from hierlandmarks_pipelines.vectorcache import Vectors
from tests.tinyclip import save_tiny_clip

TWO = Taxonomy(
    (
        Label("hl:church", "church", "human-made", "A Christian house of worship: chapel, cathedral.", ""),
        Label("hl:lake", "lake", "natural", "", ""),
    )
)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a model saw is kept; every test begins without."""
    monkeypatch.setenv("HIERLANDMARKS_HOME", str(tmp_path / "home"))


def _unit(rows: int, size: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(rows, size)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def test_prompts_name_the_label_and_what_it_is() -> None:
    church, lake = prompts(TWO)
    assert "a photo of church." in church
    assert "a photo of church, a Christian house of worship." in church
    assert lake == [template.format("lake") for template in TEMPLATES]
    assert all(prompts(read_taxonomy(label_files(None)[0])))


def test_a_label_is_the_mean_direction_of_its_prompts() -> None:
    def texts(some: object) -> Vectors:
        return np.array([[1.0, 0.0] if "church" in str(text) else [0.0, 1.0] for text in some], np.float32)  # type: ignore[attr-defined]

    model = PhotoModel("fake", 10.0, lambda pictures: np.zeros((0, 2), np.float32), texts, "1")
    assert np.allclose(prompt_vectors(TWO, model), [[1, 0], [0, 1]])


def test_zero_shot_is_a_softmax_of_scaled_cosines() -> None:
    photos, labels = _unit(5, 8, 0), _unit(3, 8, 1)
    found = zero_shot(photos, labels, 100.0)
    for p, row in zip(photos, found, strict=True):
        weights = [np.exp(100.0 * (float(p @ label) - 1)) for label in labels]
        assert row == pytest.approx([w / sum(weights) for w in weights], rel=1e-4)


@pytest.mark.parametrize("k", [1, 3, 50])
def test_neighbours_equal_their_slow_twin(k: int) -> None:
    photos, known = _unit(7, 6, 2), _unit(20, 6, 3)
    known[5] = known[4]  # a tie
    codes = np.random.default_rng(4).integers(0, 4, 20)
    found = neighbours(photos, known, codes, 4, k=k, temperature=0.1)
    for photo, row in zip(photos, found, strict=True):
        order = sorted(range(20), key=lambda i: (-float(photo @ known[i]), i))[:k]
        votes = np.zeros(4)
        for i in order:
            votes[codes[i]] += np.exp(float(photo @ known[i]) / 0.1)
        assert row == pytest.approx(votes / votes.sum(), rel=1e-4)


def test_neighbours_refuse_another_model() -> None:
    with pytest.raises(UsageError, match="one model"):
        neighbours(_unit(2, 6, 0), _unit(2, 5, 1), np.zeros(2, np.int64), 2)
    with pytest.raises(UsageError, match="labelled photos"):
        neighbours(_unit(2, 6, 0), np.zeros((0, 6), np.float32), np.zeros(0, np.int64), 2)


def test_many_photos_that_lean_outvote_one_that_is_certain() -> None:
    probabilities = np.array([[0.55, 0.45], [0.55, 0.45], [0.0, 1.0]])
    found = majority(probabilities, np.array([0, 0, 0]), 2)
    assert found[0].argmax() == 0
    assert found[0].sum() == pytest.approx(1)
    assert found[0, 0] == pytest.approx((2 + (0.55 + 0.55 + 0) / 3) / 4)
    assert not found[1].any()  # a landmark without photos says nothing


def test_a_tie_of_votes_goes_to_what_was_seen_more_clearly() -> None:
    found = majority(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0]), 1)
    assert found[0].argmax() == 0


def test_a_tiny_clip_is_loaded_and_compares_pictures_with_words(tmp_path: Path) -> None:
    save_tiny_clip(tmp_path / "clip", words=("church", "lake", "a", "photo", "of"))
    model = load_photo_model(str(tmp_path / "clip"))
    pictures = [Image.new("RGB", (40 + i, 30), (6 * i, 90, 200)) for i in range(35)]  # more than a batch
    vectors = model.pictures(iter(pictures))
    assert vectors.shape == (35, 16)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors[34], model.pictures([pictures[34]])[0], atol=1e-5)
    words = model.texts(["church", "lake"])
    assert words.shape == (2, 16)
    assert not np.allclose(words[0], words[1])
    probabilities = zero_shot(vectors, words, model.scale)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert model.scale == pytest.approx(1 / 0.07, rel=1e-3)  # what CLIP starts from


def _photos(folder: Path, ids: Sequence[str], colours: Sequence[tuple[int, int, int]]) -> None:
    folder.mkdir()
    for photo, colour in zip(ids, colours, strict=True):
        noise = np.random.default_rng(int(photo, 16) % 997).integers(-20, 20, (32, 32, 3))
        Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(folder / f"{photo}.jpg")


def _write(path: Path, header: str, rows: Iterable[Sequence[str]]) -> Path:
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")
    return path


def test_photos_decide_where_names_say_nothing(tmp_path: Path) -> None:
    save_tiny_clip(tmp_path / "clip", words=("church", "lake"))
    red, blue = (190, 60, 50), (40, 80, 200)
    ids = [f"{i:016x}" for i in range(120)]
    of = [str(i // 2) for i in range(120)]  # two photos a landmark, 60 landmarks
    labels = ["church" if i % 2 else "lake" for i in range(60)]
    _photos(tmp_path / "pictures", ids, [red if labels[int(landmark)] == "church" else blue for landmark in of])
    photos = _write(tmp_path / "photos.csv", "id,landmark_id", zip(ids, of, strict=True))
    rows = [(str(i), f"{i * 7919 % 1000:03d}", labels[i]) for i in range(60)]
    train = _write(tmp_path / "train.csv", "landmark_id,category,hierarchical_label", rows[:40])
    asked = _write(tmp_path / "asked.csv", "landmark_id,category", [row[:2] for row in rows[40:]])
    flags = ["--train", train, "--input", asked, "--output", tmp_path / "out.csv", "--model", "lexical-ngrams"]
    flags += ["--photos", photos, "--pictures", tmp_path / "pictures", "--photo-model", tmp_path / "clip"]
    assert run(["labels", "assign", *map(str, flags)]) == 0
    with (tmp_path / "out.csv").open() as file:
        answers = list(csv.DictReader(file))
    assert [row["hierarchical_label"].strip() for row in answers] == labels[40:]
    assert all("photo" in row["source"] for row in answers)


def test_photos_without_their_folder_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--train", "a", "--input", "b", "--output", "c", "--photos", "photos.csv"]
    assert run(["labels", "assign", *flags]) == 1
    assert "--pictures" in capsys.readouterr().err


def _looking() -> PhotoModel:
    def pictures(some: Iterable[Image.Image]) -> Vectors:
        means = np.array([np.asarray(picture).mean(axis=(0, 1)) for picture in some], np.float32).reshape(-1, 3)
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True))

    return PhotoModel("mean colour", 10.0, pictures, lambda texts: np.ones((len(texts), 3), np.float32), "1")


def test_a_gallery_knows_whose_photos_are_whose(tmp_path: Path) -> None:
    ids = ["a" * 16, "b" * 16, "c" * 16]
    _photos(tmp_path / "flat", ids, [(200, 20, 20), (20, 200, 20), (20, 20, 200)])
    nested = tmp_path / "nested"
    for photo in ids:
        (nested / photo[0] / photo[1] / photo[2]).mkdir(parents=True)
        (nested / photo[0] / photo[1] / photo[2] / f"{photo}.jpg").write_bytes(
            (tmp_path / "flat" / f"{photo}.jpg").read_bytes()
        )
    listed = _write(tmp_path / "photos.csv", "landmark_id,image_id", [("7", ids[2]), ("9", ids[0]), ("7", ids[1])])
    flat = read_gallery(Photos(listed, tmp_path / "flat"), _looking())
    assert flat.of({"landmark_id": "7"}) == (0, 2)
    assert flat.of({"landmark_id": "9"}) == (1,)
    assert flat.of({"landmark_id": "8"}) == ()
    assert flat.vectors.argmax(axis=1).tolist() == [2, 0, 1]
    assert np.array_equal(read_gallery(Photos(listed, nested), _looking()).vectors, flat.vectors)


def test_a_missing_photo_and_a_broken_folder_are_named(tmp_path: Path) -> None:
    _photos(tmp_path / "pictures", ["a" * 16], [(1, 2, 3)])
    lacking = _write(tmp_path / "lacking.csv", "landmark_id,id", [("7", "b" * 16)])
    with pytest.raises(MissingDataError, match="bbbb"):
        read_gallery(Photos(lacking, tmp_path / "pictures"), _looking())
    (tmp_path / "pictures" / f"{'b' * 16}.jpg").write_bytes(b"no picture")
    with pytest.raises(CorruptInputError, match="1 of 1 photo"):
        read_gallery(Photos(lacking, tmp_path / "pictures"), _looking())
    nameless = _write(tmp_path / "nameless.csv", "landmark_id,id", [("7", "")])
    with pytest.raises(TableError, match="row 2"):
        read_gallery(Photos(nameless, tmp_path / "pictures"), _looking())


def test_one_photo_in_many_may_be_broken(tmp_path: Path) -> None:
    ids = [f"{i:016x}" for i in range(120)]
    _photos(tmp_path / "pictures", ids, [(i, 90, 90) for i in range(120)])
    (tmp_path / "pictures" / f"{ids[3]}.jpg").write_bytes(b"no picture")
    listed = _write(tmp_path / "photos.csv", "landmark_id,id", [("7", photo) for photo in ids])
    gallery = read_gallery(Photos(listed, tmp_path / "pictures"), _looking())
    assert len(gallery.of({"landmark_id": "7"})) == len(gallery.vectors) == 119
    assert gallery.unreadable[0].startswith(ids[3])


def test_a_model_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIERLANDMARKS_OFFLINE", "1")
    with pytest.raises(MissingDataError, match="cannot be loaded"):
        load_photo_model(str(tmp_path / "nothing"))


def test_a_model_without_words_is_refused(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTModel

    save_tiny_clip(tmp_path / "vit", words=("church",))
    tiny = ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, image_size=16, patch_size=8
    )
    ViTModel(tiny).save_pretrained(tmp_path / "vit")
    with pytest.raises(MissingDataError, match=r"does not compare|cannot be loaded"):
        load_photo_model(str(tmp_path / "vit"))


def test_the_same_number_in_train_and_index_is_not_the_same_landmark(tmp_path: Path) -> None:
    ids = ["a" * 16, "b" * 16]
    _photos(tmp_path / "pictures", ids, [(200, 20, 20), (20, 200, 20)])
    rows = [("7", "index", ids[0]), ("7", "", ids[1])]
    listed = _write(tmp_path / "photos.csv", "landmark_id,space,id", rows)
    gallery = read_gallery(Photos(listed, tmp_path / "pictures"), _looking())
    assert gallery.of({"space": "index", "landmark_id": "7"}) == (0,)
    assert gallery.of({"space": "train", "landmark_id": "7"}) == gallery.of({"landmark_id": "7"}) == (1,)
    elsewhere = _write(tmp_path / "elsewhere.csv", "landmark_id,space,id", [("7", "test", ids[0])])
    with pytest.raises(TableError, match=r"row 2.*'test'.*train or index"):
        read_gallery(Photos(elsewhere, tmp_path / "pictures"), _looking())


def test_whoever_is_interrupted_sees_no_photo_twice(tmp_path: Path) -> None:
    ids = [f"{i:016x}" for i in range(300)]
    _photos(tmp_path / "pictures", ids, [(i % 250, 90, 200 - i // 2) for i in range(300)])
    listed = _write(tmp_path / "photos.csv", "landmark_id,id", [("7", photo) for photo in ids])
    seen: list[int] = []

    def impatient(some: Iterable[Image.Image]) -> Vectors:
        pictures = list(some)
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(len(pictures))
        return _looking().pictures(pictures)

    photos, model = Photos(listed, tmp_path / "pictures"), replace(_looking(), name="impatient", pictures=impatient)
    with pytest.raises(KeyboardInterrupt):
        read_gallery(photos, model)
    seen[:] = [sum(seen)]
    gallery = read_gallery(photos, model)
    assert seen[0] >= 200
    assert sum(seen) == 300
    assert np.allclose(gallery.vectors, read_gallery(photos, _looking()).vectors)
    read_gallery(photos, model)
    assert sum(seen) == 300


def test_a_missing_folder_of_pictures_is_named(tmp_path: Path) -> None:
    listed = _write(tmp_path / "photos.csv", "landmark_id,id", [("7", "a" * 16)])
    with pytest.raises(MissingDataError, match=r"no folder of pictures .*nowhere"):
        read_gallery(Photos(listed, tmp_path / "nowhere"), _looking())
