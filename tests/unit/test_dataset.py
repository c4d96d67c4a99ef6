from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import hierlandmarks as hl
from hierlandmarks import releases
from hierlandmarks.commands.info import info
from hierlandmarks.errors import ChecksumError, CorruptInputError, MissingDataError, UsageError
from hierlandmarks.hierarchy import level
from hierlandmarks.images import TarImages, decode
from hierlandmarks.schema import RELEASE
from tests import tiny


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.release(tmp_path_factory.mktemp("tiny"), validation=0.4)


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "release"))


def shard(folder: Path, split: str = "train", number: int = 0) -> Path:
    return sorted((folder / "data").glob(f"{split}-*.parquet"))[number]


# -- what is loaded --


def test_columns_labels_and_pictures_are_of_the_same_rows(made: Path) -> None:
    source = TarImages(made.parent / "source")
    for split in ("train", "index", "query", "validation", "train_clean"):
        ds = hl.load(made, split)
        assert len(ds) == len(ds.images) == len(ds.labels) > 0
        assert list(ds.images.columns) == [name for name in RELEASE.schema.names if name != "image"]
        assert set(ds.images["split"]) == {split}
        assert ds.images["id"].is_monotonic_increasing
        for i, row in enumerate(ds.images.itertuples()):
            assert ds.image_bytes(i) == source.read(row.file, row.offset, row.size)
            assert np.array_equal(ds.image(i), decode(ds.image_bytes(i)))


def test_labels_are_codes_of_the_hierarchy(made: Path) -> None:
    ds = hl.load(made, split="index")
    assert ds.labels.dtype == np.int64
    assert ds.labels.shape == (12, 3)
    for column, (name, text) in enumerate(
        (("landmark", "name"), ("label", "hierarchical_label"), ("kind", "natural_or_human_made"))
    ):
        names = ds.hierarchy.names(name)
        labelled = ds.labels[:, column] >= 0
        assert [names[code] for code in ds.labels[labelled, column]] == ds.images.loc[labelled, text].tolist()
    empty = ds.labels[:, 1] < 0
    assert empty.sum() == 6
    assert (ds.labels[empty] == -1).all()
    assert set(ds.images.loc[empty, "hierarchical_label"]) == {""}


def test_the_same_place_has_the_same_code_in_both_spaces(made: Path) -> None:
    index, query = hl.load(made, "index"), hl.load(made, "query")
    loch = hl.load(made, None).where(landmark="Loch Ness")
    assert set(loch.images["space"]) == {"train", "index"}
    assert len(np.unique(loch.labels[:, 0])) == 1
    assert {*level(query.labels[:, None], index.labels[None]).ravel().tolist()} == {0, 3}


def test_all_splits_at_once(made: Path) -> None:
    ds = hl.load(made)
    assert ds.split is None
    assert ds.splits == ("train", "train_clean", "index", "query", "validation")
    assert len(ds) == sum(len(hl.load(made, split)) for split in ds.splits)
    assert list(dict.fromkeys(ds.images["split"])) == list(ds.splits)


def test_ids_stay_text(made: Path) -> None:
    frame = hl.load(made, "train").images
    assert all(isinstance(value, str) for value in (*frame["id"], *frame["landmark_id"]))
    assert str(frame["offset"].dtype) == "Int64"


def test_it_says_what_it_is(made: Path) -> None:
    train = hl.load(made, "train")
    assert repr(train) == "<Dataset tiny train: 12 images of 3 landmarks, 3 labels, 2 kinds>"
    assert repr(train.where(label="bridge")) == (
        "<Dataset tiny train, a part: 3 images of 1 landmark, 1 label, 1 kind>"
    )
    assert (train.name, train.version, train.split) == ("tiny", "1.0.0", "train")
    assert len({hl.load(made, split).content_hash for split in (*train.splits, None)}) == 6


def test_table_reads_only_what_is_asked(made: Path) -> None:
    ds = hl.load(made, "train")
    assert ds.table(["id", "image"]).column_names == ["id", "image"]
    with pytest.raises(UsageError, match="did you mean license"):
        ds.table(["licence"])


def test_positions_count_from_both_ends_and_stop(made: Path) -> None:
    ds = hl.load(made, "train")
    assert ds.image_bytes(-1) == ds.image_bytes(len(ds) - 1)
    assert ds.image_bytes(np.int64(2)) == ds.image_bytes(2)
    for i in (len(ds), -len(ds) - 1):
        with pytest.raises(IndexError, match="there is no image"):
            ds.image(i)


# -- where --


def test_where_keeps_rows_together(made: Path) -> None:
    ds = hl.load(made)
    part = ds.where(label="church").where(split="validation")
    rows = np.flatnonzero((ds.images["hierarchical_label"] == "church") & (ds.images["split"] == "validation"))
    assert len(part) == len(rows) > 0
    pd.testing.assert_frame_equal(part.images, ds.images.iloc[rows].reset_index(drop=True))
    assert (part.labels == ds.labels[rows]).all()
    assert [part.image_bytes(i) for i in range(len(part))] == [ds.image_bytes(int(row)) for row in rows]


def test_where_takes_names_codes_lists_and_columns(made: Path) -> None:
    ds = hl.load(made)
    church = next(code for code, name in ds.hierarchy.names("label").items() if name == "church")
    assert ds.where(label=church).images.equals(ds.where(label="church").images)
    assert len(ds.where(label=["church", "lake"])) == len(ds.where(label="church")) + len(ds.where(label="lake"))
    assert set(ds.where(kind="natural", license="CC0").images["name"]) == {"Loch Ness"}
    assert len(ds.where(label=-1)) == 7
    assert len(ds.where(name="Atlantis")) == 0
    assert ds.where(name="Atlantis").labels.shape == (0, 3)
    assert ds.where(name="Atlantis").images.empty


def test_where_names_what_is_wrong(made: Path) -> None:
    ds = hl.load(made)
    with pytest.raises(UsageError, match="did you mean church"):
        ds.where(label="chruch")
    with pytest.raises(UsageError, match="did you mean license"):
        ds.where(licence="CC0")
    with pytest.raises(UsageError, match="split has no such value"):
        ds.where(split=3)


# -- workers --


def test_it_pickles_small_and_opens_again(made: Path) -> None:
    ds = hl.load(made).where(label="bridge")
    first = ds.image_bytes(0)
    assert len(ds.images) > 0
    content = pickle.dumps(ds)
    assert len(content) < 20_000
    again = pickle.loads(content)
    assert again.image_bytes(0) == first
    assert again.images.equals(ds.images)


def test_threads_share_it(made: Path) -> None:
    ds = hl.load(made)
    expected = [ds.image_bytes(i) for i in range(len(ds))]
    fresh = hl.load(made)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(fresh.image_bytes, [*range(len(ds))] * 20)) == expected * 20


# -- pictures that are not in the shards --


def test_pictures_out_of_the_tars(made: Path, tmp_path: Path) -> None:
    folder = tiny.release(tmp_path, image_bytes=False)
    ds, other = hl.load(folder, "index", root=tmp_path / "source"), hl.load(made, "index")
    assert [ds.image_bytes(i) for i in range(len(ds))] == [other.image_bytes(i) for i in range(len(other))]
    assert pickle.loads(pickle.dumps(ds)).where(label="lake").image_bytes(0) == other.where(label="lake").image_bytes(0)
    with pytest.raises(MissingDataError, match="root"):
        hl.load(folder, "index").image(0)


def test_a_picture_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny, "picture", lambda number: b"no picture" if number == 4 else b"")
    ds = hl.load(tiny.release(tmp_path), "train")
    with pytest.raises(CorruptInputError, match=f"image {ds.images['id'][3]} of tiny.*cannot be decoded"):
        ds.image(3)


# -- what is refused --


def test_an_unknown_split_or_name(made: Path) -> None:
    with pytest.raises(UsageError, match=r"no split 'vaildation': did you mean validation"):
        hl.load(made, "vaildation")
    with pytest.raises(UsageError, match="no release 'minni'"):
        hl.load("minni")
    with pytest.raises(MissingDataError, match="nowhere"):
        hl.load("some/where/nowhere")
    with pytest.raises(MissingDataError, match="nowhere"):
        hl.load(Path("nowhere"))


def test_a_folder_that_is_something_else(tmp_path: Path) -> None:
    with pytest.raises(CorruptInputError, match=r"no release.*an empty folder"):
        hl.load(tmp_path)
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(CorruptInputError, match=r"no release.*holiday\.jpg"):
        hl.load(tmp_path)


def _rewrite(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        path = shard(folder)
        pq.write_table(change(pq.read_table(path)), path)
        manifest = json.loads((folder / "MANIFEST.json").read_text())  # the size is made to fit: only content differs
        manifest["files"][f"data/{path.name}"]["bytes"] = path.stat().st_size
        (folder / "MANIFEST.json").write_text(json.dumps(manifest))

    return apply


def _manifest(**cells: object) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        manifest = json.loads((folder / "MANIFEST.json").read_text())
        (folder / "MANIFEST.json").write_text(json.dumps({**manifest, **cells}))

    return apply


@pytest.mark.parametrize(
    ("break_it", "error", "words"),
    [
        (lambda f: shard(f).unlink(), MissingDataError, r"train-00000-of-00002\.parquet is missing"),
        (lambda f: (f / "hierarchy.csv").unlink(), MissingDataError, r"hierarchy\.csv is missing"),
        (lambda f: shard(f).write_bytes(shard(f).read_bytes()[:-9]), ChecksumError, "wrong size"),
        (lambda f: shard(f).write_bytes(shard(f).read_bytes()[::-1]), CorruptInputError, "no Parquet"),
        (
            lambda f: shutil.copy(shard(f), f / "data/train-00000-of-00003.parquet"),
            CorruptInputError,
            "does not belong",
        ),
        (lambda f: shutil.copy(shard(f), f / "data/other.parquet"), CorruptInputError, "does not belong"),
        (_rewrite(lambda t: t.slice(1)), CorruptInputError, "wrong number of rows; got 7, expected 8"),
        (_rewrite(lambda t: t.drop_columns(["url"])), CorruptInputError, "other columns"),
        (lambda f: (f / "MANIFEST.json").write_text("{"), CorruptInputError, "not valid JSON"),
        (lambda f: (f / "MANIFEST.json").write_text("[]"), CorruptInputError, "no manifest"),
        (_manifest(format=99), CorruptInputError, "another format; got 99"),
        (_manifest(files={"../../etc/passwd": {"bytes": 1, "sha256": ""}}), CorruptInputError, "no manifest"),
        (_manifest(files={}), CorruptInputError, "no manifest"),
        (_manifest(splits={"train": {}}), CorruptInputError, "no manifest"),
        (_manifest(content_hash=None), CorruptInputError, "no manifest"),
    ],
)
def test_a_spoilt_release_is_refused(
    copy: Path, break_it: Callable[[Path], object], error: type[Exception], words: str
) -> None:
    break_it(copy)
    with pytest.raises(error, match=words):
        hl.load(copy, "train")


@pytest.mark.parametrize("name", ["data/train-00000-of-00002.parquet", "hierarchy.csv", "README.md"])
def test_verify_finds_any_flipped_byte(copy: Path, name: str) -> None:
    hl.load(copy, verify=True)
    whole = (copy / name).read_bytes()
    for position in range(0, len(whole), max(1, len(whole) // 20)):
        content = bytearray(whole)
        content[position] ^= 1
        (copy / name).write_bytes(content)
        with pytest.raises(CorruptInputError, match=name):
            hl.load(copy, verify=True)


def test_a_flipped_bit_in_a_page_is_found_by_reading_it(copy: Path) -> None:
    """Without `verify`: the same size, the same footer, one bit in each column's last page."""
    path = shard(copy)
    group = pq.read_metadata(path).row_group(0)
    whole = path.read_bytes()
    for number in range(group.num_columns):
        column = group.column(number)
        content = bytearray(whole)
        start = column.dictionary_page_offset or column.data_page_offset
        content[start + column.total_compressed_size - 1] ^= 1
        path.write_bytes(content)
        ds = hl.load(copy, "train")
        with pytest.raises(CorruptInputError, match="cannot be read"):
            ds.image(0) if column.path_in_schema == "image" else ds.table([column.path_in_schema])


def test_a_shard_that_breaks_later_is_refused_when_read(copy: Path) -> None:
    ds = hl.load(copy, "train")
    path = shard(copy)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CorruptInputError, match="cannot be read"):
        _ = ds.images
    with pytest.raises(CorruptInputError, match="cannot be read"):
        ds.image(0)


# -- releases by name --


class _Point:
    """An entry point that builds the tiny release, counting how often."""

    name = "tiny"

    def __init__(self, build: Callable[[Path], None]) -> None:
        self.built = 0
        self._build = build

    def load(self) -> Callable[[Path], None]:
        def build(folder: Path) -> None:
            self.built += 1
            self._build(folder)

        return build


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HIERLANDMARKS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_name_is_built_once(made: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = _Point(lambda folder: shutil.copytree(made, folder, dirs_exist_ok=True) and None)
    monkeypatch.setattr(releases, "entry_points", lambda group: [point])
    assert hl.load("tiny", "query").name == hl.load("tiny").name == "tiny"
    assert point.built == 1
    assert [path.name for path in (home / "releases").iterdir()] == [f"tiny-{hl.__version__}"]


def test_a_build_that_fails_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise CorruptInputError("no luck")

    monkeypatch.setattr(releases, "entry_points", lambda group: [_Point(fail)])
    with pytest.raises(CorruptInputError, match="no luck"):
        hl.load("tiny")
    assert not list((home / "releases").iterdir())


def test_of_two_builders_the_first_stays(made: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / "releases" / f"tiny-{hl.__version__}"

    def build(part: Path) -> None:
        shutil.copytree(made, part, dirs_exist_ok=True)
        shutil.copytree(made, folder)  # another process was quicker
        (folder / "first").touch()

    monkeypatch.setattr(releases, "entry_points", lambda group: [_Point(build)])
    assert len(hl.load("tiny", "query")) == 3
    assert (folder / "first").exists()
    assert [path.name for path in (home / "releases").iterdir()] == [folder.name]


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIERLANDMARKS_HOME", "/a/b")
    assert releases.home() == Path("/a/b")
    monkeypatch.delenv("HIERLANDMARKS_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert releases.home() == Path("/c/hierlandmarks")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/d")
    assert releases.home() == Path("/d/.cache/hierlandmarks")


# -- info --


def run_info(*arguments: Any) -> str:
    result = CliRunner().invoke(info, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_info_counts(made: Path) -> None:
    facts = json.loads(run_info(made, "--json"))
    assert facts["name"] == "tiny"
    assert facts["splits"]["index"] == {"images": 12, "landmarks": 2, "labels": 2, "unlabelled": 6}
    assert facts["tree"] == {"kind": 2, "label": 3, "landmark": 6}
    assert [row["label"] for row in facts["labels"]] == ["lake", "bridge", "church"]
    assert sum(facts["licences"].values()) == sum(split["images"] for split in facts["splits"].values())
    assert len(facts["sample"]) == 6


def test_info_reads_well(made: Path) -> None:
    text = run_info(made)
    assert "index        12 images, 2 landmarks, 2 labels, 6 unlabelled" in text
    assert "Hierarchy: 2 kinds > 3 labels > 6 landmarks" in text
    only = run_info(made, "--split", "query")
    assert "train " not in only
    assert "query        3 images" in only
