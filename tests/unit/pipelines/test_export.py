from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import hierlandmarks as hl
from hierlandmarks.errors import CorruptInputError, IncompleteError, MissingDataError, TableError, UsageError
from hierlandmarks.hierarchy import Hierarchy
from hierlandmarks.images import index_tar
from hierlandmarks.schema import RELEASE, TABLES
from hierlandmarks.tables import content_hash, from_rows, write_table
from hierlandmarks_pipelines.build import build
from hierlandmarks_pipelines.card import card
from hierlandmarks_pipelines.commands.export import export
from hierlandmarks_pipelines.export import STAGE, Export, landmark_rows, release_rows, write_release
from hierlandmarks_pipelines.splits import Part, split_rows
from tests import labelworld, tiny


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.release(tmp_path_factory.mktemp("tiny"), validation=0.4)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    return tiny.source(tmp_path_factory.mktemp("source"))


def rows(images: pa.Table, **replaced: pa.Table) -> pa.Table:
    tables = {**tiny.tables(), **replaced}
    tree = hl.Hierarchy.from_table(tables["nodes"])
    known = (tables[name] for name in ("categories", "types", "assignments", "leaves"))
    found = release_rows(images, landmark_rows(*known, tree))
    return Part(found, np.arange(len(found)), "").table(found.column_names).set_column(1, "split", found["split"])


def cut(table: pa.Table, **settings: Any) -> tuple[dict[str, pa.Table], dict[str, dict[str, int]]]:
    """The splits as tables."""
    found, left_out = split_rows(table, **settings)
    return {name: part.table() for name, part in found.items()}, left_out


def edited(table: pa.Table, row: int, **cells: Any) -> pa.Table:
    listed = table.to_pylist()
    listed[row] |= cells
    return pa.Table.from_pylist(listed, table.schema)


# -- rows --


def test_each_image_carries_what_its_own_landmark_says(images: pa.Table) -> None:
    frame = rows(images).to_pandas()
    golden = frame[(frame["space"] == "train") & (frame["landmark_id"] == "0")].iloc[0]
    assert golden["category"].endswith("Category:Golden_Gate")
    assert (golden["item"], golden["type"]) == ("Q0", "a bridge")
    assert golden[["hierarchical_label", "natural_or_human_made"]].tolist() == ["bridge", "human-made"]
    # index 0 is another place than train 0
    assert set(frame.loc[(frame["space"] == "index") & (frame["landmark_id"] == "0"), "name"]) == {"Loch Ness"}


def test_an_empty_label_is_an_empty_cell_and_no_class(images: pa.Table) -> None:
    frame = rows(images).to_pandas()
    nowhere = frame[frame["name"].isin(["Nowhere", "Somewhere"]) | (frame["landmark_id"] == "")]
    assert len(nowhere) == 3 + 3 + 3 + 1 + 3
    assert (nowhere[["landmark", "label", "kind"]] == -1).all(axis=None)
    assert (nowhere[["hierarchical_label", "natural_or_human_made"]] == "").all(axis=None)


@pytest.mark.parametrize(
    ("column", "value", "error", "words"),
    [
        ("id", "123", TableError, "row 1: the id is wrong; got 123, expected 16 hex digits"),
        ("id", "0000E12345678901", TableError, "the id is wrong"),
        ("split", "trian", TableError, "split is wrong; got 'trian'"),
        ("space", "index", CorruptInputError, "another id space; got index, expected train"),
        ("space", "", CorruptInputError, "another id space"),
        ("landmark_id", "999", TableError, "unknown landmark train 999"),
    ],
)
def test_wrong_images_are_named(images: pa.Table, column: str, value: str, error: type[Exception], words: str) -> None:
    train = images.filter(pc.equal(images["split"], "train"))
    with pytest.raises(error, match=words):
        rows(edited(train, 0, **{column: value}))


def test_no_index_label_reaches_a_train_id(images: pa.Table) -> None:
    """The same numbers in both spaces, all labels of index lakes: not one of them shows in train."""
    tables = tiny.tables()
    lakes = pc.equal(tables["assignments"]["space"], "index")
    frame = rows(images).to_pandas()
    of_train = set(frame.loc[frame["space"] == "train", "hierarchical_label"])
    changed = tables["assignments"].set_column(
        tables["assignments"].column_names.index("source"), "source", pc.if_else(lakes, "name", "decision")
    )
    frame = rows(images, assignments=changed).to_pandas()
    assert set(frame.loc[frame["space"] == "train", "label_source"]) == {"decision"}
    assert of_train == {"bridge", "church", "lake", ""}


def test_labels_and_hierarchy_must_agree(images: pa.Table) -> None:
    tables = tiny.tables()
    with pytest.raises(
        CorruptInputError, match=r"landmark train 2: hierarchical_label .* got 'church', expected 'lake'"
    ):
        rows(images, assignments=edited(tables["assignments"], 5, label="church"))
    with pytest.raises(CorruptInputError, match="index 0: hierarchical_label"):
        rows(images, leaves=tables["leaves"].slice(1))
    with pytest.raises(TableError, match="assignments lack the landmark index 0"):
        rows(images, assignments=tables["assignments"].slice(1))


def test_two_landmarks_of_one_place_have_the_label_of_the_place() -> None:
    same = labelworld.COMMONS + "A"
    assigned = labelworld.assignments(
        labelworld.assigned(1, labelworld.CHURCH, category=same),
        labelworld.assigned(1, labelworld.LAKE, category=same, space="index", confidence=0.5),
        labelworld.assigned(2, category=same, space="index"),
    )
    built = build(assigned)
    places = assigned.select(["space", "landmark_id", "category", "name"])
    found = landmark_rows(places, labelworld.types(), assigned, built.leaves, Hierarchy.from_table(built.nodes))
    assert found["hierarchical_label"].to_pylist() == ["church"] * 3
    assert found["label_source"].to_pylist() == ["same place", "same place", "decision"]


# -- splits --


def release_table(landmarks: list[tuple[str, int, int]], split: str = "train", images: int = 2) -> pa.Table:
    """Rows for (landmark_id, leaf, label), `images` each."""
    return from_rows(
        [
            {**{field.name: "" for field in RELEASE.schema if field.type == pa.string()}}
            | {"id": f"{len(landmarks) * k + n:016x}", "split": split, "space": "train", "landmark_id": number}
            | {"landmark": leaf, "label": label, "kind": 0, "hierarchical_label": "" if label < 0 else f"label {label}"}
            for n, (number, leaf, label) in enumerate(landmarks)
            for k in range(images)
        ],
        RELEASE,
    ).drop_columns(["image"])


def leaves_of(table: pa.Table) -> set[int]:
    return set(table["landmark"].to_pylist())


worlds = st.lists(st.integers(0, 4), min_size=2, max_size=40).map(
    lambda labels: release_table([(str(n), n, label) for n, label in enumerate(labels)])
)


@settings(deadline=None)
@given(worlds, st.floats(0, 0.95), st.integers(0, 3))
def test_validation_is_disjoint_and_stratified(table: pa.Table, share: float, seed: int) -> None:
    found, left_out = cut(table, validation=share, labelled_only=True, seed=seed)
    train = found["train"]
    validation = found.get("validation", table.slice(0, 0))
    assert left_out == {}
    assert not leaves_of(train) & leaves_of(validation)
    assert sorted(train["id"].to_pylist() + validation["id"].to_pylist()) == sorted(table["id"].to_pylist())
    assert set(validation["split"].to_pylist()) <= {"validation"}
    of = table.to_pandas().drop_duplicates("landmark").set_index("landmark")["label"]
    for label, size in of.value_counts().items():
        moved = sum(of[leaf] == label for leaf in leaves_of(validation))
        assert moved <= size - 1, "a label loses all its landmarks"
        assert share * size - 1 <= moved <= share * size + 1
    again, _ = cut(table, validation=share, labelled_only=True, seed=seed)
    assert all(content_hash(again[name]) == content_hash(found[name]) for name in found)


def test_the_order_of_rows_does_not_matter_and_the_seed_does() -> None:
    table = release_table([(str(n), n, n % 3) for n in range(30)])
    first = leaves_of(cut(table, validation=0.3, labelled_only=True, seed=0)[0]["validation"])
    assert len(first) == 9
    back = table.take(list(range(len(table)))[::-1])
    assert leaves_of(cut(back, validation=0.3, labelled_only=True, seed=0)[0]["validation"]) == first
    assert leaves_of(cut(table, validation=0.3, labelled_only=True, seed=1)[0]["validation"]) != first


def test_a_new_landmark_changes_only_its_own_label() -> None:
    landmarks = [(str(n), n, n % 3) for n in range(30)]
    more = [(number, leaf + 1, label) for number, leaf, label in landmarks] + [("30", 0, 1)]  # all leaf codes shift
    chosen = []
    for table in (release_table(landmarks), release_table(more)):
        frame = cut(table, validation=0.4, labelled_only=True, seed=0)[0]["validation"].to_pandas()
        chosen.append({label: set(part["landmark_id"]) for label, part in frame.groupby("hierarchical_label")})
    assert chosen[0]["label 0"] == chosen[1]["label 0"]
    assert chosen[0]["label 2"] == chosen[1]["label 2"]
    assert len(chosen[0]["label 1"] ^ chosen[1]["label 1"]) <= 2


def test_two_ids_of_one_place_move_together() -> None:
    table = release_table([(str(n), n // 2, 0) for n in range(20)])
    found, _ = cut(table, validation=0.5, labelled_only=True, seed=0)
    ids = [set(found[name]["landmark_id"].to_pylist()) for name in ("train", "validation")]
    assert {int(number) // 2 for number in ids[0]}.isdisjoint(int(number) // 2 for number in ids[1])


def test_train_clean_loses_what_validation_takes() -> None:
    train = release_table([(str(n), n, 0) for n in range(10)])
    clean = release_table([(str(n), n, 0) for n in range(10)], split="train_clean")
    found, _ = cut(pa.concat_tables([train, clean]), validation=0.3, labelled_only=True, seed=0)
    assert leaves_of(found["validation"]).isdisjoint(leaves_of(found["train_clean"]))
    assert len(found["validation"]) == len(train) - len(found["train"]) == len(train) - len(found["train_clean"]) == 6


def test_unlabelled_images_stay_out_of_train_and_are_counted(images: pa.Table) -> None:
    table = rows(images)
    found, left_out = cut(table, validation=0, labelled_only=True, seed=0)
    assert left_out == {"train": {"images": 3, "landmarks": 1}, "train_clean": {"images": 3, "landmarks": 1}}
    assert "Nowhere" not in found["train"]["name"].to_pylist()
    assert "Somewhere" in found["index"]["name"].to_pylist(), "in the gallery they are distractors"
    found, left_out = cut(table, validation=0, labelled_only=False, seed=0)
    assert left_out == {}
    assert "Nowhere" in found["train"]["name"].to_pylist()


def test_unlabelled_landmarks_may_be_validated_too() -> None:
    table = release_table([(str(n), -1, -1) for n in range(10)])
    found, _ = cut(table, validation=0.5, labelled_only=False, seed=0)
    ids = [set(found[name]["landmark_id"].to_pylist()) for name in ("train", "validation")]
    assert ids[0].isdisjoint(ids[1])
    assert len(ids[1]) == 5


def test_leaks_and_senseless_shares_are_refused() -> None:
    train = release_table([("1", 1, 0), ("2", 2, 0)])
    leak = release_table([("7", 2, 0)], split="validation")
    with pytest.raises(CorruptInputError, match="in both train and validation"):
        cut(pa.concat_tables([train, leak]), validation=0, labelled_only=True, seed=0)
    with pytest.raises(UsageError, match="validation split already"):
        cut(pa.concat_tables([train, leak]), validation=0.2, labelled_only=True, seed=0)
    for share in (1, -0.1, 7):
        with pytest.raises(UsageError, match="share"):
            cut(train, validation=share, labelled_only=True, seed=0)


# -- the folder --


def test_again_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    again = tiny.release(tmp_path, validation=0.4)
    files = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    for name in files:
        assert (made / name).read_bytes() == (again / name).read_bytes(), name


def test_shards_are_as_declared(made: Path) -> None:
    manifest = json.loads((made / "MANIFEST.json").read_text())
    names = [name for split in manifest["splits"].values() for name in split["files"]]
    assert sorted(names) == sorted(f"data/{path.name}" for path in (made / "data").iterdir())
    assert "data/train-00001-of-00002.parquet" in names
    for name in names:
        file = pq.ParquetFile(made / name)
        assert file.schema_arrow.equals(RELEASE.schema)
        group = file.metadata.row_group(0)
        columns = [group.column(number) for number in range(group.num_columns)]
        assert {column.compression for column in columns} == {"ZSTD"}
        assert columns[0].has_offset_index
        assert columns[0].has_column_index
        ids = file.read(["id"])["id"].to_pylist()
        assert ids == sorted(ids)
        assert len(ids) == manifest["files"][name]["rows"] <= 8


def test_hash_is_of_rows_and_pictures_not_of_shards(made: Path, tmp_path: Path) -> None:
    whole = json.loads((made / "MANIFEST.json").read_text())
    for folder, change, same in (
        ("shards", {"rows_per_shard": 3}, True),
        ("title", {"title": "Another title"}, True),
        ("seed", {"seed": 5}, False),
        ("bytes", {"image_bytes": False}, False),
    ):
        other = tiny.release(tmp_path / folder, **{"validation": 0.4, **change})
        found = json.loads((other / "MANIFEST.json").read_text())
        assert (found["content_hash"] == whole["content_hash"]) == same, folder


def test_a_changed_picture_changes_the_hash(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = tiny.picture
    monkeypatch.setattr(tiny, "picture", lambda number: draw(number)[:-2] + bytes([number % 7, 0xD9]))
    other = tiny.release(tmp_path, validation=0.4)
    hashes = [json.loads((f / "MANIFEST.json").read_text())["content_hash"] for f in (made, other)]
    assert hashes[0] != hashes[1]


def test_pictures_in_small_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hierlandmarks_pipelines.shardwriter.PICTURES_A_GROUP", 3)
    folder = tiny.release(tmp_path, rows_per_shard=8)
    file = pq.ParquetFile(folder / "data/train-00000-of-00003.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [3, 3, 2]
    ds = hl.load(folder, "train")
    source = {row["id"]: row for row in index_tar(tmp_path / "source/train/images_000.tar").to_pylist()}
    for i, row in enumerate(ds.images.itertuples()):
        assert len(ds.image_bytes(i)) == source[row.id]["size"]


def test_missing_pictures_are_refused_or_left_out(tmp_path: Path) -> None:
    table = tiny.source(tmp_path / "source")
    inputs = {**tiny.tables(), "images": edited(table, 0, file=""), "source": tmp_path / "source"}
    with pytest.raises(IncompleteError, match=r"train lacks 1 image; got no file for 0000000000000000"):
        STAGE.run(Export("tiny"), inputs, {"release": tmp_path / "a"})
    without = {name: value for name, value in inputs.items() if name != "source"} | {"images": table}
    with pytest.raises(IncompleteError, match="source"):
        STAGE.run(Export("tiny"), without, {"release": tmp_path / "b"})
    STAGE.run(Export("tiny", image_bytes=False), without, {"release": tmp_path / "c"})
    assert hl.load(tmp_path / "c", "train").table(["image"])["image"].null_count == 21
    (tmp_path / "source/train/images_000.tar").unlink()
    with pytest.raises(MissingDataError, match="images_000"):
        STAGE.run(Export("tiny"), {**inputs, "images": table}, {"release": tmp_path / "d"})


def test_nothing_to_export_is_refused(tmp_path: Path) -> None:
    inputs = {**tiny.tables(), "images": TABLES["images"].schema.empty_table()}
    with pytest.raises(UsageError, match="no images to export"):
        STAGE.run(Export("tiny"), inputs, {"release": tmp_path})
    with pytest.raises(UsageError, match="rows_per_shard 0"):
        tiny.release(tmp_path / "x", rows_per_shard=0)


# -- the card --


def test_card_is_valid_for_hugging_face(made: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    found = hub.DatasetCard.load(made / "README.md")
    data = found.data.to_dict()
    assert data["pretty_name"] == "tiny"
    assert data["size_categories"] == ["n<1K"]
    (config,) = data["configs"]
    for entry in config["data_files"]:
        assert list(made.glob(entry["path"])), entry
    assert found.text.lstrip().startswith("# tiny")


def test_card_says_what_was_counted(made: Path) -> None:
    text = (made / "README.md").read_text()
    assert "| train | 12 | 3 | 3 | 0 |" in text
    assert "| index | 12 | 2 | 2 | 6 |" in text
    assert "3 images of 1 landmark from train" in text
    assert "2 in train and index" in text
    assert "2 kinds → 3 labels → 6 landmarks" in text
    assert "| CC0 | 15 |" in text
    assert "| lake | natural | 2 |" in text


def test_card_keeps_odd_names_in_their_cells() -> None:
    sizes = {"images": 2_500_000, "landmarks": 1, "labels": 1, "unlabelled": 0}
    facts = {
        "name": "odd",
        "version": "1",
        "title": "A: title # with 'signs'",
        "about": "",
        "left_out": {},
        "splits": {"train": sizes},
        "tree": {"label": 1},
        "labels": [{"label": "a | b <i>", "kind": "natural", "landmarks": 1, "images": {"train": 2}}],
        "licences": {"": 2},
        "sources": {},
        "shared": {},
    }
    text = card(facts)
    assert "| a \\| b &lt;i> | natural | 1 | 2 |" in text
    assert "| not recorded | 2 |" in text
    front = yaml.safe_load(text.split("---")[1])
    assert front["pretty_name"] == "A: title # with 'signs'"
    assert front["size_categories"] == ["1M<n<10M"]


# -- elsewhere --


def test_hugging_face_reads_it(made: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    found = datasets.load_dataset(str(made), cache_dir=str(tmp_path))
    splits = json.loads((made / "MANIFEST.json").read_text())["splits"]
    assert {name: len(split) for name, split in found.items()} == {n: s["rows"] for n, s in splits.items()}
    own = hl.load(made, "query")
    pictures = found["query"].cast_column("image", datasets.Image())
    assert found["query"]["id"] == own.images["id"].tolist()
    assert np.array_equal(pictures[1]["image"].convert("RGB"), own.image(1))


# -- the command --


def test_the_command_writes_a_release(tmp_path: Path) -> None:
    out = tmp_path / "run"
    tables = {**tiny.tables(), "images": tiny.source(out / "source")}
    for name, table in tables.items():
        write_table(out / "tables" / f"{name}.parquet", table, TABLES[name], {})
    result = CliRunner().invoke(export, ["--out", str(out), "--name", "x", "--validation", "0.4", "--json"])
    assert result.exit_code == 0, result.exception
    facts = json.loads(result.stdout)
    assert facts["ran"] is True
    assert facts["splits"]["validation"]["rows"] == len(hl.load(out / "release", "validation"))
    again = CliRunner().invoke(export, ["--out", str(out), "--name", "x", "--validation", "0.4"])
    assert again.exit_code == 0
    assert "validation" in again.stdout


@pytest.mark.shared
def test_real_photos_survive_the_way(shared: Path, tmp_path: Path) -> None:
    """Plain files instead of tars, real landmarks and labels; each picture comes back as it was."""
    frame = pd.read_csv(shared / "data/gldv2/washington_photos.csv", dtype=str, keep_default_na=False)
    frame = frame[frame["hierarchical_label"] != ""].drop_duplicates("image_id").head(150)
    columns = ["landmark_id", "hierarchical_label", "natural_or_human_made"]
    tree = hl.Hierarchy.from_columns(frame, columns)
    codes = tree.encode(frame)
    blank = {field.name: "" for field in RELEASE.schema if field.type == pa.string()}
    table = from_rows(
        [
            blank
            | {"id": row.image_id, "split": "train", "space": "train", "landmark_id": row.landmark_id}
            | {"name": row.name, "hierarchical_label": row.hierarchical_label, "file": f"{row.image_id}.jpg"}
            | {"natural_or_human_made": row.natural_or_human_made}
            | dict(zip(("landmark", "label", "kind"), map(int, codes[number]), strict=True))
            for number, row in enumerate(frame.itertuples(index=False))
        ],
        RELEASE,
    ).drop_columns(["image"])
    splits, left_out = split_rows(table, validation=0.4, labelled_only=True, seed=0)
    photos = shared / "data/gldv2/photos"
    params = Export("washington", validation=0.4, rows_per_shard=50)
    write_release(tmp_path, splits, tree, params, left_out=left_out, source=photos)
    for split in ("train", "validation"):
        ds = hl.load(tmp_path, split, verify=True)
        for i in range(0, len(ds), 7):
            assert ds.image_bytes(i) == (photos / f"{ds.images['id'][i]}.jpg").read_bytes()
            assert ds.image(i).size == (224, 224)
    assert (ds.hierarchy.encode(ds.images[columns].assign()) == ds.labels).all()
