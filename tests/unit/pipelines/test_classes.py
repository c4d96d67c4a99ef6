from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hierlandmarks as hl
from hierlandmarks.errors import MissingDataError, TableError
from hierlandmarks.schema import CLASSES, NODES
from hierlandmarks.tables import from_rows, write_csv
from hierlandmarks_pipelines.classes import next_classes, read_classes, with_codes
from hierlandmarks_pipelines.export import STAGE, Export
from tests import tiny


def nodes(names: list[str]) -> pa.Table:
    rows = [
        {"node_id": name, "parent_id": "root", "level": "label", "name": name.upper(), "code": code}
        for code, name in enumerate(sorted(names))
    ]
    return from_rows([{"node_id": "root", "parent_id": "", "level": "root", "name": "root", "code": 0}, *rows], NODES)


def meaning(classes: pa.Table) -> dict[tuple[str, int], str]:
    return {(row["level"], row["code"]): row["node_id"] for row in classes.to_pylist()}


sets = st.lists(st.sets(st.sampled_from("abcdefgh"), min_size=1).map(sorted), min_size=1, max_size=5)


@given(sets)
def test_a_code_once_given_never_changes_its_meaning(versions: list[list[str]]) -> None:
    classes, before = None, {}
    for number, names in enumerate(versions):
        classes = next_classes(nodes(names), classes, str(number))
        after = meaning(classes)
        assert before.items() <= after.items()
        assert len(set(after.items())) == classes.num_rows
        coded = with_codes(nodes(names), classes)
        tree = hl.Hierarchy.from_table(coded)
        assert tree.names("label") == {
            c: n.upper() for (lv, c), n in sorted(after.items()) if lv == "label" and n in names
        }
        before = after


def test_a_first_version_counts_by_id() -> None:
    classes = next_classes(nodes(["b", "a"]), None, "1.0.0")
    assert meaning(classes) == {("label", 0): "a", ("label", 1): "b", ("root", 0): "root"}
    assert set(classes["since"].to_pylist()) == {"1.0.0"}
    more = next_classes(nodes(["0", "a"]), classes, "1.1.0")  # b is gone, 0 would come first
    assert meaning(more)[("label", 2)] == "0"
    assert meaning(more)[("label", 1)] == "b"
    assert more.filter(pc.equal(more["node_id"], "0"))["since"].to_pylist() == ["1.1.0"]


def export(folder: Path, **params: Any) -> Path:
    inputs = {**tiny.tables(), "images": tiny.source(folder / "source"), "source": folder / "source"}
    if params.pop("without", None):  # the first bridge is no landmark any more, and a church came that sorts before all
        for name in ("leaves", "nodes", "assignments"):
            inputs[name] = renamed(inputs[name])
    (folder / "release").mkdir()
    STAGE.run(Export("tiny", **params), inputs, {"release": folder / "release"})
    return folder / "release"


def renamed(table: pa.Table) -> pa.Table:
    if "node_id" not in table.column_names:
        return table
    ids = pc.replace_substring(table["node_id"], "commons:Tower Bridge", "commons:A Bridge")
    return table.set_column(table.column_names.index("node_id"), "node_id", ids)


def test_releases_keep_their_codes(tmp_path: Path) -> None:
    first = export(tmp_path / "1")
    plain = export(tmp_path / "2", without=True, version="2.0.0")
    second = export(tmp_path / "3", without=True, version="2.0.0", continues=first)
    old, fresh, new = (hl.load(folder, "train") for folder in (first, plain, second))
    kept = old.images["name"] != "Tower Bridge"
    assert (new.labels[kept] == old.labels[kept]).all()
    assert not (fresh.labels[kept] == old.labels[kept]).all(), "without it the codes would have moved"
    assert set(new.labels[~kept, 0]).isdisjoint(old.labels[:, 0])
    assert meaning(read_classes(first)).items() < meaning(read_classes(second)).items()
    hl.load(second, verify=True)


def test_tables_of_classes_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"classes\.csv"):
        export(tmp_path / "a", continues=tmp_path)
    row = {"level": "label", "code": 0, "node_id": "a", "name": "A", "since": "1"}
    for twice, words in (({"node_id": "b"}, "is repeated"), ({"code": 1}, "has two codes")):
        table = pa.Table.from_pylist([row, row | twice], CLASSES.schema)
        write_csv(tmp_path / "classes.csv", table)
        with pytest.raises(TableError, match=words):
            read_classes(tmp_path)
