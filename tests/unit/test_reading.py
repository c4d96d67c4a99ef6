"""Ways of reading a release beyond the plain one: columns, streams, workers of PyTorch, ids, relevance, and verify."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hierlandmarks as hl
from hierlandmarks.errors import ChecksumError, CorruptInputError, UsageError
from hierlandmarks.schema import RELEASE
from hierlandmarks.tables import file_sha256
from tests import tiny


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.release(tmp_path_factory.mktemp("tiny"), validation=0.4)


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "release"))


def test_columns(made: Path) -> None:
    ds = hl.load(made, "train", columns=["id", "name"])
    assert list(ds.images.columns) == ["id", "name"]
    assert list(pickle.loads(pickle.dumps(ds.where(label="lake"))).images.columns) == ["id", "name"]
    assert ds.labels.shape == (len(ds), 3)
    with pytest.raises(UsageError, match="did you mean license"):
        hl.load(made, "train", columns=["licence"])
    assert list(hl.load(made, "train", columns="id").images.columns) == ["id"]
    assert hl.load(made, "train").table("id").column_names == ["id"]


def test_a_stream_gives_every_row_in_order(made: Path) -> None:
    ds = hl.load(made)
    rows = list(hl.load(made, streaming=True))
    assert [row["id"] for row in rows] == ds.images["id"].tolist()
    assert list(rows[0]) == RELEASE.schema.names
    assert np.array_equal(rows[5]["image"], ds.image(5))
    few = hl.load(made, "index", columns=["name", "id"], streaming=True)
    assert list(next(iter(few))) == ["name", "id"]
    assert len(list(few)) == len(list(few)) == 12, "a stream starts anew"


def test_parts_of_a_stream_are_the_whole(made: Path) -> None:
    stream = hl.load(made, columns=["id", "split"], streaming=True)
    whole = sorted((row["id"], row["split"]) for row in stream)
    for of in (1, 2, 3, 50):
        parts = [row for number in range(of) for row in pickle.loads(pickle.dumps(stream.part(number, of)))]
        assert sorted((row["id"], row["split"]) for row in parts) == whole
    halves = [row["id"] for number in (0, 1) for row in stream.part(0, 2).part(number, 2)]
    assert sorted(halves) == sorted(row["id"] for row in stream.part(0, 2))
    with pytest.raises(UsageError, match="got 2 of 2"):
        stream.part(2, 2)


def test_a_stream_takes_the_conditions_of_where(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for wanted in (
        {"label": "church"},
        {"kind": "natural", "split": ["train", "index"]},
        {"label": 0, "hierarchical_label": "bridge"},
        {"landmark": "Loch Ness"},
        {"usage": "Public", "label": "lake"},
        {},
    ):
        part = hl.load(made).where(**wanted)
        stream = hl.load(made, columns=["id", "image"], streaming=True).where(**wanted)
        rows = list(pickle.loads(pickle.dumps(stream)))
        assert [row["id"] for row in rows] == part.images["id"].tolist()
        assert all(np.array_equal(row["image"], part.image(i)) for i, row in enumerate(rows))
        halves = [row["id"] for number in (0, 1) for row in stream.part(number, 2)]
        assert sorted(halves) == sorted(part.images["id"])
    again = hl.load(made, streaming=True).where(kind="human-made").where(label=["church", "lake"])
    assert {row["hierarchical_label"] for row in again} == {"church"}
    read: list[str] = []
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_group",
        lambda *_, columns: read.extend(columns) or pa.table({name: pa.array([""]) for name in columns}),
    )
    assert list(hl.load(made, streaming=True).where(usage="Public")) == []
    assert set(read) == {"usage"}, "nothing else is read where no row is wanted"
    for wrong, words in (({"label": "churhc"}, "did you mean church"), ({"image": b""}, "no column 'image'")):
        with pytest.raises(UsageError, match=words):
            hl.load(made, streaming=True).where(**wrong)


def grey(picture: Any) -> Any:
    return np.asarray(picture.convert("L"))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_of_pytorch(made: Path, start: str) -> None:
    data = pytest.importorskip("torch.utils.data")
    ds = hl.load(made, "train")
    _ = ds.image(0), ds.labels
    loader = data.DataLoader(ds.to_torch(grey), batch_size=5, num_workers=2, multiprocessing_context=start)
    pictures, labels = zip(*loader, strict=True)
    assert [len(batch) for batch in pictures] == [5, 5, 2]
    assert np.array_equal(np.concatenate(labels), ds.labels)
    assert np.array_equal(np.concatenate(pictures), np.stack([grey(ds.image(i)) for i in range(len(ds))]))


def test_without_a_transform_pictures_are_arrays(made: Path) -> None:
    picture, labels = hl.load(made, "index").to_torch()[0]
    assert (picture.shape, picture.dtype, labels.dtype) == ((12, 16, 3), np.uint8, np.int64)


def test_find_by_id(made: Path) -> None:
    for ds in (hl.load(made, "train"), hl.load(made), hl.load(made, "index").where(label="lake")):
        ids = ds.images["id"].tolist()
        assert [ids[row] for row in ds.find(ids[::-1])] == ids[::-1]
        assert ds.find(ids[2]).tolist() == [ids.index(ids[2])]
    assert ds.find([]).tolist() == []
    for wrong in ("f" * 16, "123", "x" * 16):
        with pytest.raises(UsageError, match=f"no image '{wrong}'"):
            ds.find([ids[0], wrong])
    with pytest.raises(UsageError, match="no image"):
        ds.where(name="Atlantis").find(ids[0])


def test_relevance_between_sets(made: Path) -> None:
    query, index = hl.load(made, "query"), hl.load(made, "index")
    levels, found = query.levels(index), query.relevance(index)
    assert levels.shape == found.shape == (len(query), len(index))
    for row, worth in zip(levels, found, strict=True):
        for n in (1, 2, 3):
            of_level = worth[row == n]
            assert of_level == pytest.approx(n / 3 / max(1, len(of_level)))
        assert (worth[row == 0] == 0).all()
    own = index.relevance(index, "decomposed")
    assert (np.diag(own) == 0).all()
    lakes = np.flatnonzero(index.images["name"] == "Loch Ness")  # three of one landmark: two others each
    assert own[lakes[0], lakes[1]] == pytest.approx(1 / 2)


def test_relevance_is_of_one_release(made: Path, tmp_path: Path) -> None:
    other = tiny.release(tmp_path, validation=0.4, image_bytes=False)
    with pytest.raises(UsageError, match="different releases"):
        hl.load(made, "query").relevance(hl.load(other, "index"))


# -- verify --


def rewrite(folder: Path, change: Any, split: str = "train", number: int = 0) -> None:
    """Change a shard as a careful forger would: sizes and checksums fit, only the content hash does not."""
    path = sorted((folder / "data").glob(f"{split}-*.parquet"))[number]
    table = change(pq.read_table(path))
    pq.write_table(table.cast(RELEASE.schema), path)
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    facts = {"bytes": path.stat().st_size, "sha256": file_sha256(path), "rows": table.num_rows}
    manifest["files"][f"data/{path.name}"] = facts
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))


def cell(column: str, value: Any, row: int = 1) -> Any:
    def change(table: pa.Table) -> pa.Table:
        values = table[column].to_pylist()
        values[row] = value
        return table.set_column(table.column_names.index(column), column, pa.array(values, table[column].type))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (cell("license", "CC0"), "rows of the split train of .* were changed"),
        (cell("image", tiny.picture(77)), "were changed"),
        (cell("offset", 7), "were changed"),
        (cell("id", "123"), "split train, row 2: the id is wrong; got 123, expected 16 hex digits"),
        (cell("id", "0000000000000000", 5), "row 6: the order of ids is wrong"),
        (cell("split", "index"), "row 2: the split is wrong; got index, expected train"),
        (cell("landmark", 99), "row 2: the path of codes is wrong"),
        (cell("hierarchical_label", "tower"), "row 2: hierarchical_label is wrong; got 'tower'"),
        (lambda table: table.take([*range(1, len(table)), 0]), "the order of ids"),
    ],
)
def test_an_edited_row_is_found_though_every_checksum_fits(copy: Path, change: Any, words: str) -> None:
    hl.load(copy, verify=True)
    rewrite(copy, change)
    with pytest.raises(CorruptInputError, match=words):
        hl.load(copy, verify=True)


def test_an_edited_hierarchy_is_found_though_every_checksum_fits(copy: Path) -> None:
    path = copy / "hierarchy.csv"
    path.write_text(path.read_text().replace("Lake | Bled", "Lake | Bledd"))
    manifest = json.loads((copy / "MANIFEST.json").read_text())
    manifest["files"]["hierarchy.csv"] = {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
    (copy / "MANIFEST.json").write_text(json.dumps(manifest))
    with pytest.raises(ChecksumError, match=r"hierarchy of .* was changed"):
        hl.load(copy, verify=True)


def test_mixed_releases_are_refused(copy: Path, tmp_path: Path) -> None:
    """A shard of another release under the name of one of this release, and a shard more."""
    other = tiny.release(tmp_path / "other", validation=0.4, seed=3)
    name = "data/train-00000-of-00002.parquet"
    shutil.copy(other / name, copy / name)
    with pytest.raises(CorruptInputError, match="train-00000"):
        hl.load(copy, verify=True)
    shutil.copy(other / name, copy / "data/train-00002-of-00003.parquet")
    with pytest.raises(CorruptInputError, match="does not belong"):
        hl.load(copy)
