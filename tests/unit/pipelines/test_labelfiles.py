"""The files a person edits: what is right is read, what is wrong is named with its row and the nearest right word."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from hierlandmarks.errors import MissingDataError, TableError
from hierlandmarks.tables import read_csv
from hierlandmarks_pipelines.labelfiles import (
    decisions_from_table,
    decisions_table,
    effective,
    find_decision,
    label_files,
    labels_folder,
    read_decisions,
    read_taxonomy,
)
from hierlandmarks_pipelines.typeids import type_id
from tests.labelworld import CASTLE, CHURCH, DECISIONS_HEADER, LAKE, OCEAN, TAXONOMY, TAXONOMY_HEADER, decide, decided
from tests.labelworld import labels_folder as make_folder


def test_the_bundled_taxonomy_is_gldv2s():
    taxonomy = read_taxonomy(label_files(None)[0])
    assert len(taxonomy.labels) == 78
    assert Counter(label.natural_or_human_made for label in taxonomy.labels) == {"human-made": 60, "natural": 18}
    assert taxonomy.by_id["hl:ocean-area"].label == "ocean area "
    assert taxonomy.by_id["hl:castle-fort"].label == "castle / fort"
    assert all(len(label.definition) > 20 for label in taxonomy.labels)


@pytest.mark.shared
def test_the_bundled_taxonomy_is_spelled_as_published(shared: Path):
    published = set()
    for name in ("index_label_to_hierarchical.csv", "train_label_sample.csv"):
        table = read_csv(shared / "data/gldv2" / name, ["hierarchical_label", "natural_or_human_made"])
        published |= {(row["hierarchical_label"], row["natural_or_human_made"]) for row in table.to_pylist()}
    labels = read_taxonomy(label_files(None)[0]).labels
    assert published - {("", "")} == {(label.label, label.natural_or_human_made) for label in labels}


def test_the_bundled_decisions_are_valid_and_said_once():
    taxonomy_path, decisions_path = label_files(None)
    decisions = read_decisions(decisions_path, read_taxonomy(taxonomy_path))
    assert len(decisions) == len(effective(decisions))
    assert all(decision.reason for decision in decisions)
    by_name = {type_id(d.type): d for d in decisions if d.type_id.startswith("hl:")}
    for decision in decisions:  # a class and its name are decided alike
        if not decision.type_id.startswith("hl:") and type_id(decision.type) in by_name:
            assert decision.outcome == by_name[type_id(decision.type)].outcome


def test_the_bundled_decisions_cover_mini():
    taxonomy_path, decisions_path = label_files(None)
    decisions = effective(read_decisions(decisions_path, read_taxonomy(taxonomy_path)))
    mini = labels_folder(None).parent / "pipelines/hierlandmarks_pipelines/mini/types.csv"
    assert [row for row in read_csv(mini, ["type_id", "type"]).to_pylist() if row["type_id"] not in decisions] == []


@pytest.mark.shared
def test_the_bundled_decisions_cover_washington(shared: Path):
    taxonomy_path, decisions_path = label_files(None)
    decisions = effective(read_decisions(decisions_path, read_taxonomy(taxonomy_path)))
    landmarks = read_csv(shared / "data/gldv2/washington_landmarks.csv", ["supercategory"])
    names = {name for name in landmarks["supercategory"].to_pylist() if name}
    assert len(names) == 172
    assert {name for name in names if type_id(name) not in decisions} == set()


@pytest.mark.parametrize("text", ["ocean area", "Ocean  Area ", "hl:ocean-area", " ocean area "])
def test_labels_are_found_however_they_are_spelled(text):
    assert TAXONOMY.find(text) == OCEAN
    assert TAXONOMY.find("castle/fort") == CASTLE
    assert TAXONOMY.find("") is None


TAXONOMY_FAULTS = {
    "row 3: label_id 'hl:lake' is repeated": "hl:lake,lake,natural,x,\nhl:lake,pond,natural,x,",
    "row 3: the label ' Lake' is in row 2 already": "hl:lake,lake,natural,x,\nhl:pond, Lake,natural,x,",
    "row 2: label_id is malformed": "lake,lake,natural,x,",
    "row 2: natural_or_human_made is wrong; got 'man-made', expected natural or human-made": "hl:a,a,man-made,x,",
    "row 2: wikidata is no item": "hl:a,a,natural,x,23397",
    "row 2: label has no usable name": "hl:a, ,natural,x,",
    "row 2: label_id is empty": ",a,natural,x,",
    "has a header and no rows": "",
}


@pytest.mark.parametrize(("message", "rows"), TAXONOMY_FAULTS.items())
def test_a_wrong_taxonomy_is_refused(tmp_path, message, rows):
    path = tmp_path / "taxonomy.csv"
    path.write_text(f"{TAXONOMY_HEADER}\n{rows}\n" if rows else f"{TAXONOMY_HEADER}\n")
    with pytest.raises(TableError) as caught:
        read_taxonomy(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


DECISION_FAULTS = {
    "row 2: there is no label 'hl:curch': did you mean hl:church?": (
        "hl:chapel,chapel,label,hl:curch,church,a,2026-01-01,"
    ),
    "row 2: there is no action 'labl'; expected label or drop: did you mean label?": (
        "hl:chapel,chapel,labl,hl:church,church,a,2026-01-01,"
    ),
    "row 2: a decision without a label_id: write hl:church": "hl:chapel,chapel,label,,church,a,2026-01-01,",
    "row 2: a decision without a label_id: choose a label": "hl:chapel,chapel,label,,,a,2026-01-01,",
    "row 2: label_id and label disagree": "hl:chapel,chapel,label,hl:church,lake,a,2026-01-01,",
    "row 2: a dropped type has a label": "hl:chapel,chapel,drop,hl:church,church,a,2026-01-01,",
    "row 2: reviewer is empty": "hl:chapel,chapel,label,hl:church,church,,2026-01-01,",
    "row 2: date is wrong; got '1.2.26', expected YYYY-MM-DD": "hl:chapel,chapel,label,hl:church,church,a,1.2.26,",
    "expected a QID or hl:chapel": "hl:chapels,chapel,label,hl:church,church,a,2026-01-01,",
    "row 3: type_id is empty": "hl:chapel,chapel,drop,,,a,2026-01-01,\n,chapel,drop,,,a,2026-01-01,",
}


@pytest.mark.parametrize(("message", "rows"), DECISION_FAULTS.items())
def test_a_wrong_decision_is_refused(tmp_path, message, rows):
    path = tmp_path / "decisions.csv"
    path.write_text(f"{DECISIONS_HEADER}\n{rows}\n")
    with pytest.raises(TableError) as caught:
        read_decisions(path, TAXONOMY)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_missing_and_empty_files_are_refused(tmp_path):
    path = tmp_path / "decisions.csv"
    with pytest.raises(MissingDataError, match=r"decisions.csv does not exist"):
        read_decisions(path, TAXONOMY)
    path.write_text("")
    with pytest.raises(TableError, match=r"decisions.csv is empty"):
        read_decisions(path, TAXONOMY)
    path.write_text("type_id,type\n")
    with pytest.raises(TableError, match="lacks the column action"):
        read_decisions(path, TAXONOMY)
    path.write_text(DECISIONS_HEADER + "\n")
    assert read_decisions(path, TAXONOMY) == []


def test_the_last_decision_counts_and_an_old_name_is_fine(tmp_path):
    folder = make_folder(tmp_path, [decide("chapel", LAKE), decide("chapel", CHURCH)])
    (folder / "decisions.csv").write_text((folder / "decisions.csv").read_text().replace(",lake,", ",mere,"))
    decisions = read_decisions(folder / "decisions.csv", TAXONOMY)
    assert [d.label for d in decisions] == ["mere", "church"]
    assert effective(decisions)["hl:chapel"].label_id == CHURCH.label_id


def test_a_decision_about_a_name_holds_for_the_class_until_somebody_decides_about_it():
    by_name, by_item = decide("chapel", CHURCH), decide("chapel", LAKE, key="Q108325")
    assert find_decision(decided(by_name), "Q108325", "Chapel") == by_name
    assert find_decision(decided(by_name, by_item), "Q108325", "Chapel") == by_item
    assert find_decision(decided(by_item), "hl:chapel", "chapel") is None
    assert find_decision(decided(by_name), "Q1", "???") is None


def test_decisions_survive_the_table():
    decisions = decided(decide("chapel", CHURCH, reason='a "chapel", say'), decide("thing", None))
    assert decisions_from_table(decisions_table(decisions.values())) == decisions
