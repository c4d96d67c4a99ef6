from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hierlandmarks.errors import CorruptInputError, HierlandmarksError, MissingDataError, UsageError
from hierlandmarks.hierarchy import level
from hierlandmarks_benchmark.datasets import LAYOUTS, open_dataset
from hierlandmarks_benchmark.datasets.cub import _usual
from hierlandmarks_benchmark.datasets.public import PublicDataset
from tests.layouts import MAKERS, SIDE, inat18

LEVELS = {
    "inat18": ("species", "genus", "family", "order", "class", "phylum", "kingdom"),
    "sop": ("product", "category"),
    "cub": ("species", "family", "order"),
    "dyml-vehicle": ("fine", "middle", "coarse"),
    "dyml-animal": ("fine", "middle", "coarse"),
    "dyml-product": ("fine", "middle", "coarse"),
}
SPLITS = dict.fromkeys(("inat18", "sop", "cub", "dyml-product"), ("test", "train"))


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], str]:
    def one(name: str) -> str:
        (tmp_path / name).mkdir()
        MAKERS[name](tmp_path / name)
        return f"{name}:{tmp_path / name}"

    return one


def opened(release: str, split: str | None = None) -> PublicDataset:
    found = open_dataset(release, split)
    assert isinstance(found, PublicDataset)
    return found


def test_every_layout_has_an_imitation() -> None:
    assert {name for name in LAYOUTS if not name.endswith(LEVELS["dyml-vehicle"])} == set(MAKERS)


@pytest.mark.parametrize("name", MAKERS)
def test_a_folder_gives_images_labels_and_a_tree(make: Callable[[str], str], name: str) -> None:
    whole = opened(make(name))
    assert whole.hierarchy.levels == LEVELS[name]
    assert whole.splits == SPLITS.get(name, ("train",))
    train = whole.of("train")
    assert train.labels.shape == (12, len(LEVELS[name]))
    assert train.labels.min() >= 0
    assert train.image(3).size == (SIDE, SIDE)
    assert list(train.images["id"]) == sorted(train.images["id"])
    assert train.table(["id", "usage"]).column_names == ["id", "usage"]
    again = pickle.loads(pickle.dumps(train))
    assert again.image_bytes(5) == train.image_bytes(5)
    assert again.content_hash == train.content_hash != whole.of(whole.splits[0]).content_hash or len(whole.splits) == 1


@pytest.mark.parametrize("name", ["inat18", "sop", "cub", "dyml-product"])
def test_what_is_tested_was_not_trained_on(make: Callable[[str], str], name: str) -> None:
    whole = opened(make(name))
    train, test = whole.of("train").labels, whole.of("test").labels
    assert not set(train[:, 0]) & set(test[:, 0])


def test_one_name_in_two_families_is_two_genera(make: Callable[[str], str]) -> None:
    train = opened(make("inat18"), "train")
    names = train.images.set_index("species")
    assert names.loc["Morus bassanus", "genus"].iloc[0] == "Morus (Sulidae)"
    assert names.loc["Morus alba", "genus"].iloc[0] == "Morus (Moraceae)"
    rows = [int(np.flatnonzero(train.images["species"] == name)[0]) for name in ("Morus bassanus", "Sula sula")]
    other = int(np.flatnonzero(train.images["species"] == "Morus alba")[0])
    assert level(train.labels[rows[0]], train.labels[[rows[1], other]]).tolist() == [5, 0]


def test_inat_without_lists_tests_the_species_it_trains_on(tmp_path: Path) -> None:
    inat18(tmp_path, split_lists=False)
    whole = opened(f"inat18:{tmp_path}")
    assert set(whole.of("test").labels[:, 0]) <= set(whole.of("train").labels[:, 0])
    assert len(whole.of("train")) == 24


def test_the_birds_are_complete_and_the_kittiwake_is_a_gull(make: Callable[[str], str]) -> None:
    birds = _usual()
    assert sorted(birds["class"].astype(int)) == list(range(1, 201))
    assert birds["family"].nunique() == 37
    assert birds["order"].nunique() == 13
    assert birds.groupby("family")["order"].nunique().max() == 1
    rows = opened(make("cub"), "train").images.drop_duplicates("species").set_index("species")
    assert rows.loc["084.Red_legged_Kittiwake", "family"] == rows.loc["059.California_Gull", "family"] == "Laridae"


def test_birds_take_the_levels_of_a_table_in_their_folder(make: Callable[[str], str]) -> None:
    release = make("cub")
    table = "class,genus,family\n" + "\n".join(f"{i},genus {i // 2},family {i // 100}" for i in range(1, 201))
    Path(release.partition(":")[2], "hierarchy.csv").write_text(table + "\n")
    assert opened(release).hierarchy.levels == ("species", "genus", "family")


@pytest.mark.parametrize("kind", ["vehicle", "animal"])
@pytest.mark.parametrize(("part", "classes"), [("fine", 4), ("middle", 3), ("coarse", 2)])
def test_dyml_tests_one_level_at_a_time(make: Callable[[str], str], kind: str, part: str, classes: int) -> None:
    folder = make(f"dyml-{kind}").partition(":")[2]
    whole = opened(f"dyml-{kind}-{part}:{folder}")
    assert whole.splits == ("index", "query")
    assert whole.hierarchy.levels == (part,)
    assert whole.of("query").labels.shape == (2 * classes, 1)
    assert set(whole.of("query").labels[:, 0]) == set(range(classes))
    assert whole.of("query").images["id"][0].startswith(f"bmk_{part}/query/")


def test_the_header_that_runs_into_the_first_row_loses_no_picture(make: Callable[[str], str]) -> None:
    assert "train/imgs/00.jpg" in set(opened(make("dyml-animal"), "train").images["id"])


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        (
            "sop",
            lambda f: (f / "Ebay_test.txt").unlink(),
            "is no folder of Stanford Online Products: it has no Ebay_te",
        ),
        ("sop", lambda f: (f / "Ebay_test.txt").write_text("id path\n"), "another header than Stanford Online"),
        ("sop", lambda f: _append(f / "Ebay_train.txt", "13 5 1\n"), r"Ebay_train\.txt line 14 is wrong; got 3 cells"),
        (
            "sop",
            lambda f: _append(f / "Ebay_train.txt", "99 5 1 mug_final/1_0.JPG\n"),
            "mug_final/1_0.JPG is listed tw",
        ),
        ("sop", lambda f: (f / "bicycle_final" / "2_0.JPG").unlink(), "lacks the picture bicycle_final/2_0.JPG"),
        ("inat18", lambda f: (f / "train2018.json").unlink(), "is no folder of iNaturalist 2018: it has no train2018"),
        ("inat18", lambda f: (f / "train2018.json").write_text("{}"), "is no annotation file of iNaturalist 2018"),
        ("inat18", lambda f: _strip(f / "train2018.json"), "the categories of .* have no taxonomy; got no class"),
        ("inat18", lambda f: _append(_lists(f), "train_val2018/Aves/99/x.jpg\n"), "unknown category; got 99"),
        ("inat18", lambda f: _append(_lists(f), "x.jpg\n"), "line 13 is wrong"),
        ("cub", lambda f: (f / "images.txt").unlink(), "is no folder of CUB-200-2011: it has no images.txt"),
        ("cub", lambda f: _append(f / "images.txt", "999 x/y.jpg\n"), "the image x/y.jpg has no class"),
        ("cub", lambda f: (f / "hierarchy.csv").write_text("class,genus\n1,x\n"), "class .* is not in the hierarchy"),
        ("dyml-vehicle", lambda f: (f / "train" / "label.csv").unlink(), "is no folder of DyML: it has no label.csv"),
        ("dyml-vehicle", lambda f: (f / "train" / "label.csv").write_text("a, b\n"), "another header than DyML"),
        ("dyml-product", lambda f: _append(f / "train" / "label.csv", "9.jpg, 1\n"), "line 13 is wrong; got 2 cells"),
    ],
)
def test_a_wrong_folder_is_refused_in_one_sentence(
    make: Callable[[str], str], name: str, spoil: Callable[[Path], None], message: str
) -> None:
    release = make(name)
    spoil(Path(release.partition(":")[2]))
    with pytest.raises((CorruptInputError, MissingDataError), match=message) as refused:
        open_dataset(release, "train")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("release", "kind", "message"),
    [
        ("sopp:/tmp", UsageError, "no layout 'sopp'.*sop"),
        ("sop:/no/such/folder", MissingDataError, "give sop:FOLDER"),
        ("sop:", MissingDataError, "give sop:FOLDER"),
    ],
)
def test_a_wrong_name_is_refused(release: str, kind: type[HierlandmarksError], message: str) -> None:
    with pytest.raises(kind, match=message):
        open_dataset(release)


def test_a_wrong_split_is_refused(make: Callable[[str], str]) -> None:
    with pytest.raises(UsageError, match=r"no split 'tset'.*test"):
        open_dataset(make("sop"), "tset")


def _append(path: Path, text: str) -> None:
    with path.open("a") as stream:
        stream.write(text)


def _lists(folder: Path) -> Path:
    return folder / "Inat_dataset_splits" / "Inaturalist_train_set1.txt"


def _strip(path: Path) -> None:
    content = json.loads(path.read_text())
    content["categories"] = [{"id": c["id"], "name": c["name"]} for c in content["categories"]]
    path.write_text(json.dumps(content))
