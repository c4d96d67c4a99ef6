"""The mini world as a GLDv2 source folder: drawn photos in tars, the official CSVs, and both ground truths."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hierlandmarks.progress import track
from hierlandmarks_pipelines.layout import write_contents, write_pictures, write_rows
from hierlandmarks_pipelines.mini.draw import photo
from hierlandmarks_pipelines.mini.world import Landmark

QUALITY = 90  # of the JPEGs
TRAIN, INDEX, QUERY = (5, 8), (4, 4), (1, 2)  # photos of a landmark: at least, at most
UNSCORED = 24  # test photos that no ground truth scores
# Ids that readers take for numbers, as some of GLDv2's are: all digits, and a float in disguise.
LIKE_NUMBERS = {("train", 0): "1234567890123456", ("index", 0): "0000e12345678901"}
LICENSE = "https://creativecommons.org/publicdomain/zero/1.0/"


@dataclass(frozen=True)
class Shot:
    """One photo to draw."""

    id: str
    landmark: Landmark
    number: int


def write_source(root: Path, landmarks: Sequence[Landmark], seed: int, size: int) -> None:
    """Draw every photo and write everything GLDv2 publishes about them.

    Args:
        root: an empty folder.
        landmarks: of the mini world.
        seed: everything random follows from it; equal seeds give equal bytes.
        size: side length of the photos, in pixels.
    """
    in_train = [landmark for landmark in landmarks if "train" in landmark.ids]
    in_index = [landmark for landmark in landmarks if "index" in landmark.ids]
    train = _shots(seed, "train", in_train, TRAIN)
    index = _shots(seed, "index", in_index, INDEX)
    query = _shots(seed, "query", in_index, QUERY)
    other = _shots(seed, "other", in_train[::-1][:UNSCORED], (1, 1))
    test = sorted([*query, *other], key=lambda shot: shot.id)
    for split, shots in (("train", train), ("index", index), ("test", test)):
        seen = track(shots, f"drawing {split}", unit="photo")
        write_pictures(root, split, ((shot.id, draw(shot, seed, size)) for shot in seen))
    _write_metadata(root / "metadata", landmarks, train, index, test)
    _write_ground_truth(root / "ground_truth", index, query, other)
    write_contents(root, "mini")


def _shots(seed: int, split: str, landmarks: Sequence[Landmark], photos: tuple[int, int]) -> list[Shot]:
    """The photos of a split, sorted by id; ids and how many follow from hashes of names."""
    low, high = photos
    shots = []
    for place, landmark in enumerate(landmarks):
        count = low + _hash(seed, split, landmark.name) % (high - low + 1)
        for number in range(count):
            awkward = LIKE_NUMBERS.get((split, place)) if number == 0 else None
            image_id = awkward or f"{_hash(seed, split, landmark.name, number):064x}"[:16]
            shots.append(Shot(image_id, landmark, number))
    return sorted(shots, key=lambda shot: shot.id)


def draw(shot: Shot, seed: int, size: int) -> bytes:
    """A photo as JPEG: the landmark's traits follow from its name, the photo from its id."""
    landmark = shot.landmark
    traits, moment = (_hash(seed, name) % 2**32 for name in (landmark.name, shot.id))
    buffer = io.BytesIO()
    photo(landmark.label, landmark.look, (seed, traits), (seed, moment), size).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _hash(*parts: object) -> int:
    return int(hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest(), 16)


def _write_metadata(
    folder: Path, landmarks: Sequence[Landmark], train: list[Shot], index: list[Shot], test: list[Shot]
) -> None:
    write = partial(_write, folder)
    write("train.csv", "id,url,landmark_id", ((s.id, _url(s), s.landmark.ids["train"]) for s in train))
    write(
        "train_attribution.csv",
        "id,url,author,license,title",
        (
            (s.id, _url(s), "hierlandmarks (drawn)", LICENSE, f"{s.landmark.name}, drawing {s.number + 1}")
            for s in train
        ),
    )
    write("train_clean.csv", "landmark_id,images", _clean(train))
    write("index.csv", "id", ((s.id,) for s in index))
    write("index_image_to_landmark.csv", "id,landmark_id", ((s.id, s.landmark.ids["index"]) for s in index))
    write("test.csv", "id", ((s.id,) for s in test))
    for space in ("train", "index"):
        rows = [(landmark.ids[space], landmark.category) for landmark in landmarks if space in landmark.ids]
        rows.sort(key=lambda row: int(row[0]))
        write(f"{space}_label_to_category.csv", "landmark_id,category", rows)


def _write(folder: Path, name: str, columns: str, rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> None:
    write_rows(folder / name, columns, rows)


def _clean(train: Sequence[Shot]) -> Iterator[tuple[str, str]]:
    """As in GLDv2, the clean part leaves out some landmarks, and a photo here and there of the others."""
    by_landmark: dict[str, list[Shot]] = {}
    for shot in train:
        by_landmark.setdefault(shot.landmark.ids["train"], []).append(shot)
    for landmark_id in sorted(by_landmark, key=int):
        if int(landmark_id) % 10:
            yield landmark_id, " ".join(shot.id for shot in by_landmark[landmark_id] if shot.number)


def _write_ground_truth(folder: Path, index: Sequence[Shot], query: Sequence[Shot], other: Sequence[Shot]) -> None:
    """Retrieval: the index photos of the same place. Recognition: its train id, where it has one."""
    images: dict[str, list[str]] = {}
    for shot in index:
        images.setdefault(shot.landmark.name, []).append(shot.id)
    usage = {shot.id: "Private" if _hash(shot.id) % 3 else "Public" for shot in query}
    both = sorted([*query, *other], key=lambda shot: shot.id)
    _write(
        folder,
        "retrieval_solution_v2.1.csv",
        "id,images,Usage",
        [
            (s.id, " ".join(images[s.landmark.name]), usage[s.id]) if s.id in usage else (s.id, "None", "Ignored")
            for s in both
        ],
    )
    _write(
        folder,
        "recognition_solution_v2.1.csv",
        "id,landmarks,Usage",
        [
            (s.id, s.landmark.ids.get("train", ""), usage[s.id]) if s.id in usage else (s.id, "", "Ignored")
            for s in both
        ],
    )


def _url(shot: Shot) -> str:
    """An address that leads nowhere, by RFC 2606: the photos are drawn, and Wikimedia does not hold them."""
    return f"https://mini.hierlandmarks.invalid/{shot.id}.jpg"
