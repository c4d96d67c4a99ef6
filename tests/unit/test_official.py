from __future__ import annotations

import csv
import pickle
import tarfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import hierlandmarks as hl
from hierlandmarks import officialcounts
from hierlandmarks.catalog import find_dataset, own_dataset
from hierlandmarks.errors import CorruptInputError, HierarchyError, MissingDataError, TableError, UsageError
from hierlandmarks.levels import level
from hierlandmarks_pipelines import synthetic
from hierlandmarks_pipelines.layout import write_pictures
from tests import tiny


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gldv2")
    synthetic.write_metadata(folder, 0.002)
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    synthetic.write_metadata(tmp_path, 0.0005)
    return tmp_path


def test_the_generator_has_the_official_counts_built_in() -> None:
    sizes = synthetic.Sizes()
    assert (sizes.images, sizes.landmarks, sizes.index_images, sizes.test_images) == (
        4_132_914,
        203_094,
        761_757,
        117_577,
    )
    assert (sizes.clean_images, sizes.clean_landmarks) == (1_580_470, 81_313)
    assert (sizes.labelled_images, sizes.labelled_landmarks) == (970_981, 46_593)
    assert len(synthetic.label_names()[0]) == 78
    assert sum(synthetic.label_names()[2]) == 18


def test_train_clean_is_what_has_a_label_counted_by_hand(root: Path) -> None:
    """The rule behind 970,981 / 46,593 / 78: rows of train_clean.csv whose landmark has a label."""
    sizes = synthetic.Sizes().scaled(0.002)
    labels = {
        r["landmark_id"]: r["hierarchical_label"] for r in rows_of(root / "metadata/train_label_to_hierarchical.csv")
    }
    clean = {r["landmark_id"]: r["images"].split() for r in rows_of(root / "metadata/train_clean.csv")}
    expected = {image: landmark for landmark, images in clean.items() if labels[landmark] for image in images}
    assert len(clean) == sizes.clean_landmarks
    assert sum(map(len, clean.values())) == sizes.clean_images
    ds = hl.load(root, "train_clean")
    assert dict(zip(ds.images["id"], ds.images["landmark_id"], strict=True)) == expected
    assert len(ds) == len(expected) == sizes.labelled_images
    assert len(np.unique(ds.labels[:, 0])) == ds.images["landmark_id"].nunique() == sizes.labelled_landmarks
    assert ds.images["hierarchical_label"].nunique() == len(np.unique(ds.labels[:, 1])) == 78
    assert [labels[landmark] for landmark in ds.images["landmark_id"]] == ds.images["hierarchical_label"].tolist()
    assert ds.images["id"].is_monotonic_increasing
    assert "ocean area " in set(ds.images["hierarchical_label"])


def test_the_other_splits(root: Path) -> None:
    train, index, query = (hl.load(root, split) for split in ("train", "index", "query"))
    assert hl.load(root).splits == ("train", "train_clean", "index", "query")
    labelled = {
        r["landmark_id"] for r in rows_of(root / "metadata/train_label_to_hierarchical.csv") if r["hierarchical_label"]
    }
    assert len(train) == sum(r["landmark_id"] in labelled for r in rows_of(root / "metadata/train.csv"))
    assert len(index) == len(rows_of(root / "metadata/index.csv"))
    solution = {r["id"]: r["Usage"] for r in rows_of(root / "ground_truth/retrieval_solution_v2.1.csv")}
    usage = dict(zip(query.images["id"], query.images["usage"], strict=True))
    assert usage == {image: kind for image, kind in solution.items() if kind != "Ignored"}
    assert len(query.where(usage="Public")) + len(query.where(usage="Private")) == len(query)
    assert set(train.images["usage"]) == {""}


def test_a_label_never_crosses_spaces(root: Path) -> None:
    """Each image has the label its own space's file gives its landmark id; equal ids in the two mean nothing."""
    for split, space in (("train", "train"), ("index", "index")):
        given = rows_of(root / f"metadata/{space}_label_to_hierarchical.csv")
        labels = {row["landmark_id"]: row["hierarchical_label"] for row in given} | {"": ""}
        found = hl.load(root, split).images
        assert [labels[landmark] for landmark in found["landmark_id"]] == found["hierarchical_label"].tolist()


def test_a_place_of_both_spaces_is_one_leaf_and_codes_are_of_one_tree(root: Path) -> None:
    by_name = defaultdict(set)
    for split in ("train", "index"):
        ds = hl.load(root, split)
        known = ds.images["landmark"] >= 0
        for name, code in zip(ds.images.loc[known, "name"], ds.labels[known, 0].tolist(), strict=True):
            by_name[name].add(code)
    assert {len(codes) for codes in by_name.values()} == {1}
    query, index = hl.load(root, "query"), hl.load(root, "index")
    assert query.hierarchy == index.hierarchy
    assert set(np.unique(level(query.labels[:, None], index.labels[None]))) <= {0, 1, 2, 3}


def test_two_ids_of_one_category_stay_two_landmarks(copy: Path) -> None:
    path = copy / "metadata/train_label_to_hierarchical.csv"
    rows = rows_of(path)
    first, second = (r for r in [r for r in rows if r["hierarchical_label"]][:2])
    second |= {name: first[name] for name in ("category", "hierarchical_label", "natural_or_human_made")}
    write(path, rows)
    ds = hl.load(copy, "train")
    codes = {ds.where(landmark_id=row["landmark_id"]).labels[0, 0] for row in (first, second)}
    assert len(codes) == 2


def test_columns_and_credits(root: Path) -> None:
    few = hl.load(root, "train_clean", columns=["id", "hierarchical_label"])
    assert list(few.images.columns) == ["id", "hierarchical_label"]
    credits = {r["id"]: r for r in rows_of(root / "metadata/train_attribution.csv")}
    whole = hl.load(root, "train_clean").images
    for row in whole.head(50).itertuples():
        assert (row.author, row.license, row.title) == tuple(credits[row.id][n] for n in ("author", "license", "title"))


def test_a_stream_takes_conditions(root: Path) -> None:
    whole = hl.load(root, "train_clean")
    for wanted in ({"label": "church"}, {"license": whole.images["license"][0]}):  # credits are read when asked for
        expected = whole.where(**wanted).images["id"].tolist()
        assert 0 < len(expected) < len(whole)
        rows = hl.load(root, "train_clean", columns=["id"], streaming=True).where(**wanted)
        assert [row["id"] for row in rows] == expected
        assert hl.load(root, "train_clean", columns=["id"]).where(**wanted).images["id"].tolist() == expected


def test_it_pickles_by_its_folder_and_has_a_hash(root: Path) -> None:
    ds = hl.load(root, "query").where(usage="Public")
    content = pickle.dumps(ds)
    assert len(content) < 10_000
    assert pickle.loads(content).images.equals(ds.images)
    assert hl.load(root, "query").content_hash == hl.load(root, "query").content_hash


def test_pictures_from_tars_or_out_of_them(copy: Path) -> None:
    index = hl.load(copy, "index")
    ids = index.images["id"].tolist()
    write_pictures(copy, "index", ((image, tiny.picture(n)) for n, image in enumerate(ids)))
    again = hl.load(copy, "index")
    assert [again.image_bytes(i) for i in range(5)] == [tiny.picture(n) for n in range(5)]
    tar = copy / "index/images_000.tar"
    with tarfile.open(tar) as archive:
        archive.extractall(copy / "index", filter="data")
    tar.unlink()
    extracted = hl.load(copy, "index")
    assert extracted.image(3).size == (16, 12)
    assert extracted.image_bytes(int(extracted.find(ids[4])[0])) == tiny.picture(4)
    with pytest.raises(MissingDataError, match=r"neither a tar with it nor test/"):
        hl.load(copy, "query").image(0)


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def test_bad_files_are_named(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels, train = copy / "metadata/train_label_to_hierarchical.csv", copy / "metadata/train.csv"
    whole, rows = labels.read_bytes(), rows_of(labels)
    church = [row for row in rows if row["hierarchical_label"] == "church"]
    church[0]["natural_or_human_made"] = "natural"
    write(labels, rows)
    with pytest.raises(HierarchyError, match="label:church has two parents"):
        _ = hl.load(copy, "train").labels
    labels.write_bytes(whole)
    rows = rows_of(train)
    for change, error in (
        ({"id": "123"}, "row 2: id is wrong; got '123', expected 16 hex digits"),
        ({"id": rows[1]["id"]}, "is repeated"),
        ({"landmark_id": "99999999"}, "there is no train landmark 99999999"),
    ):
        write(train, [rows[0] | change, *rows[1:]])
        with pytest.raises(TableError, match=error):
            _ = hl.load(copy, "train").labels
    write(train, rows[: len(rows) // 2])  # a file that was cut at a line's end
    counts = rf"train\.csv in .* got {len(rows) // 2:,} rows, expected {len(rows):,} rows"
    with pytest.raises(CorruptInputError, match=counts):
        hl.load(copy, "train_clean")
    (copy / "dataset.json").unlink()  # then it could be all of GLDv2
    with pytest.raises(TableError, match=r"train_clean\.csv row"):
        hl.load(copy, "train_clean")
    assert f"got {len(rows) // 2:,} rows, expected 4,132,914 rows" in capsys.readouterr().err
    labels.unlink()
    with pytest.raises(MissingDataError, match="train_label_to_hierarchical"):
        _ = hl.load(copy, "train").labels


def test_a_split_of_other_counts_is_named(copy: Path) -> None:
    """Files with the right rows that give another split: a label lost, a landmark renumbered."""
    labels = copy / "metadata/train_label_to_hierarchical.csv"
    clean = {row["landmark_id"] for row in rows_of(copy / "metadata/train_clean.csv")}
    rows = rows_of(labels)
    lost = next(row for row in rows if row["landmark_id"] in clean and row["hierarchical_label"])
    lost |= {"hierarchical_label": "", "natural_or_human_made": ""}
    expected = synthetic.Sizes().scaled(0.0005)
    write(labels, rows)
    words = (
        rf"the split train_clean in .* got \d+ images, {expected.labelled_landmarks - 1} landmarks, "
        rf"expected {expected.labelled_images} images, {expected.labelled_landmarks} landmarks"
    )
    with pytest.raises(CorruptInputError, match=words):
        hl.load(copy, "train_clean")
    assert len(hl.load(copy, "index")) == expected.index_images


def test_the_published_counts_are_asked_for() -> None:
    known = find_dataset("gldv2")
    assert known.splits["train_clean"] == {"images": 970_981, "landmarks": 46_593, "labels": 78}
    assert known.splits["query"] == {"images": 1129, "public": 379, "private": 750}
    table = pa.table({"usage": ["Public"] * 379 + ["Private"] * 750, "landmark": [-1] * 1129, "label": [0] * 1129})
    counts = officialcounts.Counts(Path("gldv2"), known, True)
    counts.check_split("query", table)
    with pytest.raises(CorruptInputError, match=r"got 1,128 images, 378 public, 750 private, expected 1,129 images"):
        counts.check_split("query", table.slice(1))
    with pytest.raises(CorruptInputError, match=r"got 1,129 images, 0 landmarks, 1 labels, expected 970,981 images"):
        counts.check_split("train_clean", table)


def test_by_name(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIERLANDMARKS_HOME", str(tmp_path / "home"))
    with pytest.raises(MissingDataError, match=r"hl\.download\('gldv2'"):
        hl.load("gldv2")
    (tmp_path / "home").mkdir()
    (tmp_path / "home/gldv2").symlink_to(copy)
    with pytest.raises(CorruptInputError, match="got 102 rows, expected 203,094 rows: fetch the metadata again"):
        hl.load("gldv2", "train_clean")
    whole = own_dataset(copy, find_dataset("gldv2"))  # as if the small files were all of it
    monkeypatch.setattr(officialcounts, "find_dataset", lambda name: replace(whole, name=name))
    found = hl.load("gldv2", "train_clean")
    assert (found.name, hl.load(copy, "train_clean").name) == ("gldv2", "synthetic")
    assert len(pickle.loads(pickle.dumps(found))) == len(found)
    with pytest.raises(UsageError, match="no split 'validation'"):
        hl.load("gldv2", "validation")
