"""Assignments to one tree and the released files: each landmark once, the same place at the same path."""

from __future__ import annotations

import csv

import pytest

from hierlandmarks.errors import HierarchyError, MissingDataError, TableError, UsageError
from hierlandmarks.hierarchy import Hierarchy
from hierlandmarks.schema import ASSIGNMENTS, HIERARCHICAL_CSV
from hierlandmarks.tables import write_table
from hierlandmarks_pipelines.build import CONFLICTS, STAGE, BuildParams, build
from hierlandmarks_pipelines.labeldiff import diff_labels
from hierlandmarks_pipelines.labelfiles import taxonomy_table
from tests.labelworld import CASTLE, CHURCH, COMMONS, LAKE, OCEAN, TAXONOMY, assigned, assignments


def leaf_of(built):
    return {(row["space"], row["landmark_id"]): row["node_id"] for row in built.leaves.to_pylist()}


def test_the_tree_has_root_kinds_labels_and_landmarks():
    built = build(assignments(assigned(1, CHURCH), assigned(2, LAKE), assigned(3, OCEAN)))
    tree = Hierarchy.from_table(built.nodes)
    assert tree.levels == ("landmark", "label", "kind")
    assert tree.path("commons:Place 1") == ("root", "human-made", "hl:church", "commons:Place 1")
    assert tree.children("natural") == ("hl:lake", "hl:ocean-area")
    assert tree.name("hl:ocean-area") == "ocean area "
    assert [row["code"] for row in built.nodes.to_pylist() if row["level"] == "landmark"] == [0, 1, 2]


def test_every_landmark_is_placed_or_explained():
    built = build(assignments(assigned(1, CHURCH), assigned(2), assigned(3, reason="no type is known")))
    assert leaf_of(built) == {("train", "1"): "commons:Place 1"}
    assert [(r["landmark_id"], r["reason"]) for r in built.unplaced.to_pylist()] == [
        ("2", "because"),
        ("3", "no type is known"),
    ]


def test_without_a_category_a_landmark_is_its_own_place():
    built = build(assignments(assigned(1, LAKE, category=""), assigned(1, LAKE, category="", space="index")))
    assert leaf_of(built) == {("train", "1"): "train:1", ("index", "1"): "index:1"}


SPELLINGS = [COMMONS + "Lac_d%27Annecy", COMMONS.replace("http", "https") + "lac_d'Annecy"]


def test_the_same_place_has_the_same_path_in_train_and_index():
    built = build(assignments(assigned(1, LAKE, SPELLINGS[0]), assigned(7, LAKE, SPELLINGS[1], space="index")))
    assert set(leaf_of(built).values()) == {"commons:Lac d'Annecy"}
    assert built.conflicts.num_rows == 0


@pytest.mark.parametrize(
    ("train", "index", "expected"),
    [
        ({"confidence": 0.7}, {"confidence": 0.9}, "castle / fort"),
        ({"confidence": 0.9, "source": "name"}, {"confidence": 0.9}, "castle / fort"),
        ({"confidence": 0.9}, {"confidence": 0.9}, "lake"),
    ],
)
def test_of_two_labels_the_better_founded_one_holds_for_both(train, index, expected):
    rows = [assigned(1, LAKE, SPELLINGS[0], **train), assigned(7, CASTLE, SPELLINGS[1], space="index", **index)]
    built = build(assignments(*rows))
    released = [built.released[space]["hierarchical_label"][0].as_py() for space in ("train", "index")]
    assert released == [expected, expected]
    (moved,) = built.conflicts.to_pylist()
    assert moved["placed"] == expected
    assert moved["because_of"] == ("index 7" if expected == "castle / fort" else "train 1")
    assert tuple(built.conflicts.column_names) == CONFLICTS


def test_a_place_that_is_labelled_once_is_labelled_twice():
    built = build(assignments(assigned(1, None, SPELLINGS[0]), assigned(7, LAKE, SPELLINGS[1], space="index")))
    assert built.unplaced.num_rows == 0
    assert built.conflicts.to_pylist()[0]["assigned"] == ""
    assert built.released["train"]["natural_or_human_made"].to_pylist() == ["natural"]


def test_lowest_id_counts_as_a_number():
    rows = [assigned(10, LAKE, SPELLINGS[0]), assigned(9, CASTLE, SPELLINGS[1])]
    assert build(assignments(*rows)).nodes["name"].to_pylist().count("castle / fort") == 1


def test_the_released_files_are_as_gldv2s(tmp_path):
    rows = [assigned(10, OCEAN), assigned(9, None, type="thing"), assigned(100, CASTLE, COMMONS + 'A,_"b"')]
    inputs = {"assignments": assignments(*rows), "taxonomy": taxonomy_table(TAXONOMY)}
    made = STAGE.run(BuildParams(), inputs, {"labels": tmp_path})
    assert set(made) == {"nodes", "leaves", "unplaced"}
    text = (tmp_path / "train_label_to_hierarchical.csv").read_bytes().decode()
    assert text.splitlines() == [
        ",".join(HIERARCHICAL_CSV),
        f"9,{COMMONS}Place_9,thing,,",
        f"10,{COMMONS}Place_10,a type,ocean area ,natural",
        f'100,"{COMMONS}A,_""b""",a type,castle / fort,human-made',
    ]
    assert (tmp_path / "index_label_to_hierarchical.csv").read_text() == ",".join(HIERARCHICAL_CSV) + "\n"
    assert Hierarchy.from_csv(tmp_path / "hierarchy.csv").levels == ("landmark", "label", "kind")
    (unplaced,) = csv.DictReader((tmp_path / "unplaced.csv").open())
    assert unplaced == {"space": "train", "landmark_id": "9", "category": COMMONS + "Place_9", "reason": "because"}


def test_no_landmark_labelled_is_a_root_alone():
    built = build(assignments(assigned(1)))
    assert built.nodes["node_id"].to_pylist() == ["root"]
    assert built.leaves.num_rows == 0


def test_what_is_no_tree_is_refused():
    two_kinds = [assigned(1, LAKE), assigned(2, LAKE, natural_or_human_made="human-made")]
    with pytest.raises(HierarchyError, match="hl:lake has two parents; got natural and human-made"):
        build(assignments(*two_kinds))
    with pytest.raises(HierarchyError, match="hl:lake is of no known kind; got 'artificial'"):
        build(assignments(assigned(1, LAKE, natural_or_human_made="artificial")))
    with pytest.raises(HierarchyError, match="root"):
        build(assignments(assigned(1, LAKE, label_id="root")))
    with pytest.raises(HierarchyError, match="natural"):
        build(assignments(assigned(1, LAKE, label_id="natural")))
    with pytest.raises(TableError, match="landmark 1 is in no known space; got 'test'"):
        build(assignments(assigned(1, LAKE, space="test")))


# -- what moved --


def write(path, rows, header="landmark_id,category,hierarchical_label,natural_or_human_made"):
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_two_versions_are_compared(tmp_path):
    before = write(
        tmp_path / "train_old.csv", ["1,c1,lake,natural", "2,c2,,", "3,c3,church,h", "4,c4,,", "5,c5,lake,n"]
    )
    after = write(tmp_path / "train_new.csv", ["1,c1,lake,natural", "2,c2,lake,n", "3,c3,,", "4,c4,,", "6,c6,lake,n"])
    result = diff_labels(before, after)
    assert (result.both, result.same, result.same_labelled) == (4, 2, 1)
    assert (result.only_before, result.only_after) == (1, 1)
    assert [(m.landmark_id, m.before, m.after, m.category) for m in result.moves] == [
        ("2", "", "lake", "c2"),
        ("3", "church", "", "c3"),
    ]
    assert result.agreement == 1.0
    assert "train 3: church -> (none)  c3" in result.text()


def test_folders_are_compared_space_by_space(tmp_path):
    for name, label in (("a", "lake"), ("b", "church")):
        write(tmp_path / name / "train_label_to_hierarchical.csv", ["1,c,lake,n"])
        write(tmp_path / name / "index_label_to_hierarchical.csv", [f"1,c,{label},n"])
    result = diff_labels(tmp_path / "a", tmp_path / "b")
    assert [(m.space, m.before, m.after) for m in result.moves] == [("index", "lake", "church")]
    assert result.agreement == 0.5
    assert result.counts() == [("lake", "church", 1)]
    one = diff_labels(tmp_path / "a" / "train_label_to_hierarchical.csv", tmp_path / "b")
    assert (one.both, one.same) == (1, 1)


def test_runs_say_why_a_landmark_moved(tmp_path):
    for name, label in (("a", LAKE), ("b", CHURCH)):
        (tmp_path / name / "tables").mkdir(parents=True)
        rows = assignments(assigned(1, label, reason=f"decided to be {label.label}"))
        write_table(tmp_path / name / "tables" / "assignments.parquet", rows, ASSIGNMENTS, {})
        write(tmp_path / name / "labels" / "train_label_to_hierarchical.csv", [f"1,c,{label.label},n"])
    (move,) = diff_labels(tmp_path / "a", tmp_path / "b" / "labels").moves
    assert (move.why_before, move.why_after) == ("decided to be lake", "decided to be church")
    assert move.text().splitlines()[1:] == ["    before: decided to be lake", "    now:    decided to be church"]


def test_train_is_never_compared_with_index(tmp_path):
    train, index = write(tmp_path / "train_a.csv", ["1,c,lake,n"]), write(tmp_path / "index_a.csv", ["1,c,lake,n"])
    with pytest.raises(UsageError, match="label different landmarks; got train against index"):
        diff_labels(train, index)
    other = write(tmp_path / "mine.csv", ["1,c,lake,n"])
    assert diff_labels(other, index).both == 1  # a file that does not say is taken to be of the other's space


def test_diff_refuses_what_it_cannot_read(tmp_path):
    good = write(tmp_path / "train_a.csv", ["1,c,lake,n"])
    with pytest.raises(MissingDataError, match="holds no label file"):
        diff_labels(good, tmp_path)
    with pytest.raises(MissingDataError, match="does not exist"):
        diff_labels(good, tmp_path / "train_b.csv")
    with pytest.raises(TableError, match="row 3: landmark_id '1' is repeated"):
        diff_labels(good, write(tmp_path / "train_c.csv", ["1,c,lake,n", "1,c,lake,n"]))
    with pytest.raises(TableError, match="lacks the column hierarchical_label"):
        diff_labels(good, write(tmp_path / "train_d.csv", ["1"], header="landmark_id"))
