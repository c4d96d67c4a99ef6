"""Tables are read exactly as written, checked, and put in place whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierlandmarks import tableparts, tables
from hierlandmarks.errors import ChecksumError, MissingDataError, TableError
from hierlandmarks.schema import CATEGORIES, REASONS
from hierlandmarks.tableparts import csv_in_parts, read_csv_in_parts, table_in_parts
from hierlandmarks.tables import (
    atomic_folder,
    atomic_path,
    conform,
    content_hash,
    from_rows,
    read_csv,
    read_table,
    write_csv,
    write_table,
)


def landmarks(*ids: str) -> pa.Table:
    return from_rows([{"space": "train", "landmark_id": i, "category": "c", "name": ""} for i in ids], CATEGORIES)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_csv_cells_stay_text(tmp_path: Path, start: bytes, end: bytes) -> None:
    lines = [b"id,images", b"1234567890123456,None", b"0000e12345678901,", b'000000000000000a,"ocean area "']
    (tmp_path / "a.csv").write_bytes(start + end.join(lines) + end)
    table = read_csv(tmp_path / "a.csv", ["id", "images"], key=["id"])
    assert table["id"].to_pylist() == ["1234567890123456", "0000e12345678901", "000000000000000a"]
    assert table["images"].to_pylist() == ["None", "", "ocean area "]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"id,images\n", "a header and no rows"),
        (b"id,picture\na,b\n", "lacks the column images"),
        (b"id,images\na,b\na,c\n", "row 3: id 'a' is repeated"),
        (b"id,images\na,b\n,c\n", "row 3: id is empty"),
        (b"id,images\na,b\nb,c,d\n", "row 3 has the wrong number of cells; got 3, expected 2"),
        (b"id,images\na,b\nb\n", "row 3 has the wrong number of cells; got 1, expected 2"),
        (b"id,images,id\na,b,c\n", "two columns named id"),
        (b"id,images\na,\xff\xfe\n", "not UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0", "not UTF-8"),
        ("id,images\na,b\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_bad_csv_is_refused_with_file_and_row(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"bad\.csv") as caught:
        read_csv(path, ["id", "images"], key=["id"])
    assert message in str(caught.value)
    assert str(caught.value).count("\n") == 0
    if "repeated" not in message:
        with pytest.raises(TableError) as in_parts:
            list(read_csv_in_parts(path, ["id", "images"], filled=["id"]))
        assert str(in_parts.value) == str(caught.value)


def test_a_csv_in_parts_is_the_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tableparts, "READ_ROWS", 2)
    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbfmore,id,name\r\nx,1,"a, ""b""\r\nc"\r\n\r\nx,0002,NaN\r\nx,3, \r\n')
    parts = list(read_csv_in_parts(path, ["id", "name"]))
    assert [part["row"].to_pylist() for part in parts] == [[2, 3], [4]]
    assert pa.concat_tables(parts).drop_columns("row").equals(read_csv(path, ["id", "name"]).combine_chunks())


def test_missing_csv(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="does not exist"):
        read_csv(tmp_path / "none.csv", ["id"])


def test_csv_round_trip_keeps_quotes_breaks_and_spaces(tmp_path: Path) -> None:
    table = pa.table({"a": ['x "y"', "line\nbreak", "ocean area "], "b": ["", ",", "é"]})
    write_csv(tmp_path / "t.csv", table)
    assert read_csv(tmp_path / "t.csv", ["a", "b"]).equals(table)


def test_conform_sorts_and_selects() -> None:
    table = landmarks("2", "10", "1")
    assert table["landmark_id"].to_pylist() == ["1", "10", "2"]
    assert conform(table.append_column("more", pa.array([1, 2, 3])), CATEGORIES, "x").schema == CATEGORIES.schema


def test_conform_names_the_repeated_row() -> None:
    twice = pa.concat_tables([landmarks("1", "2"), landmarks("2")])
    with pytest.raises(TableError, match="x row 3: space 'train', landmark_id '2' is repeated"):
        conform(twice, CATEGORIES, "x")


def test_conform_names_the_missing_value() -> None:
    table = landmarks("1", "2").set_column(2, "category", pa.array(["c", None]))
    with pytest.raises(TableError, match="x row 2: category is missing"):
        conform(table, CATEGORIES, "x")


def test_write_and_read_table(tmp_path: Path) -> None:
    path = tmp_path / "categories.parquet"
    write_table(path, landmarks("2", "1"), CATEGORIES, {"stage": "test"})
    assert read_table(path, CATEGORIES).equals(landmarks("1", "2"))
    first = path.read_bytes(), path.with_suffix(".json").read_bytes()
    write_table(path, landmarks("1", "2"), CATEGORIES, {"stage": "test"})
    assert first == (path.read_bytes(), path.with_suffix(".json").read_bytes()), "equal input, equal bytes"


def test_a_changed_table_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "categories.parquet"
    write_table(path, landmarks("1"), CATEGORIES, {})
    pq.write_table(landmarks("2"), path)
    with pytest.raises(ChecksumError, match="was changed after it was written"):
        read_table(path, CATEGORIES)


def test_content_hash_sees_every_kind_of_change() -> None:
    table = pa.table(
        {"s": ["ab", "c", None], "n": [1, 2, None], "v": [[1.0], [], [2.0, 3.0]], "b": [True, None, False]}
    )
    variants = [
        table.set_column(0, "s", pa.array(["a", "bc", None])),
        table.set_column(0, "s", pa.array(["ab", "c", ""])),
        table.set_column(1, "n", pa.array([1, 2, 0])),
        table.set_column(2, "v", pa.array([[1.0, 2.0], [], [3.0]])),
        table.set_column(3, "b", pa.array([True, False, False])),
        table.rename_columns(["t", "n", "v", "b"]),
        table.slice(0, 2),
    ]
    hashes = {content_hash(t) for t in [table, *variants]}
    assert len(hashes) == len(variants) + 1
    assert content_hash(pa.concat_tables([table.slice(0, 1), table.slice(1)])) == content_hash(table)


def test_atomic_path_leaves_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("old")

    def fail() -> None:
        with atomic_path(path) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_atomic_folder_replaces_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    with atomic_folder(folder) as part:
        (part / "a").write_text("1")
    with atomic_folder(folder) as part:
        (part / "b").write_text("2")
    assert [p.name for p in folder.iterdir()] == ["b"]

    def fail() -> None:
        with atomic_folder(folder) as part:
            (part / "c").write_text("3")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert [p.name for p in folder.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_a_table_in_parts_is_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tableparts, "ROW_GROUP", 4)
    monkeypatch.setattr(tables, "ROW_GROUP", 4)
    rows = [{"space": "train", "landmark_id": f"{n:02d}", "category": f'a "{n}"', "reason": "typed"} for n in range(11)]
    whole = from_rows(rows, REASONS)
    write_table(tmp_path / "whole.parquet", whole, REASONS, {})
    write_csv(tmp_path / "whole.csv", whole)
    columns = REASONS.schema.names
    with (
        table_in_parts(tmp_path / "parts.parquet", REASONS, {}) as add,
        csv_in_parts(tmp_path / "parts.csv", columns) as add_csv,
    ):
        for start, length in ((0, 3), (3, 0), (3, 6), (9, 2)):
            add(whole.slice(start, length))
            add_csv(whole.slice(start, length))
    assert (tmp_path / "parts.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert read_table(tmp_path / "parts.parquet", REASONS).equals(whole)
    facts = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("whole", "parts")]
    assert facts[0]["content_hash"] == facts[1]["content_hash"]
    assert facts[1]["rows"] == 11
    assert pq.read_metadata(tmp_path / "parts.parquet").num_row_groups == 3


def test_parts_come_in_order_or_leave_nothing(tmp_path: Path) -> None:
    rows = [{"space": "train", "landmark_id": str(n), "category": "", "reason": "typed"} for n in range(4)]
    part = from_rows(rows, REASONS)

    def twice() -> None:
        with table_in_parts(tmp_path / "t.parquet", REASONS, {}) as add:
            add(part)
            add(part)

    with pytest.raises(TableError, match="does not come after the one before"):
        twice()
    assert list(tmp_path.iterdir()) == []
    with table_in_parts(tmp_path / "t.parquet", REASONS, {}):
        pass
    assert read_table(tmp_path / "t.parquet", REASONS).num_rows == 0
