"""The sheet and what comes back: read whatever a spreadsheet made of it, append, refuse contradictions."""

from __future__ import annotations

import csv
import io

import pytest

from hierlandmarks.errors import CorruptInputError, MissingDataError, TableError, UsageError
from hierlandmarks.schema import PROPOSALS
from hierlandmarks.tables import from_rows
from hierlandmarks_pipelines.labelfiles import effective, read_decisions
from hierlandmarks_pipelines.review import STAGE, ReviewParams, apply_sheets, merge
from hierlandmarks_pipelines.reviewrows import review_rows
from hierlandmarks_pipelines.reviewsheet import COLUMNS, Filled, read_sheet, write_sheet
from hierlandmarks_pipelines.reviewstatus import status
from tests.labelworld import (
    CASTLE,
    CHURCH,
    LAKE,
    OCEAN,
    TAXONOMY,
    categories,
    decide,
    decided,
    labels_folder,
    landmark,
    proposal,
    stated,
    subclasses,
    types,
)


def read(path, reviewer="ann", date="2026-11-24"):
    return [entry.decision for entry in read_sheet(path, TAXONOMY, reviewer, date)]


def sheet(path, rows, header="type_id,type,decision,reviewer,reason"):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


# -- writing --


def test_undecided_types_of_most_landmarks_come_first(tmp_path):
    proposals = [proposal("few", 1), proposal("done", 99), proposal("many", 9), proposal("also many", 9)]
    stated_types = types(*(stated(n, "few") for n in range(1)), *(stated(n, "many") for n in range(1, 10)))
    rows = review_rows(from_rows(proposals, PROPOSALS), stated_types, subclasses(), decided(decide("done", OCEAN)))
    write_sheet(tmp_path / "r.csv", rows)
    data = (tmp_path / "r.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert tuple(rows[0]) == COLUMNS
    assert [row["type"] for row in rows] == ["many", "few", "also many", "done"]
    assert [row["settles"] for row in rows] == ["9", "1", "0", "0"]
    assert (rows[3]["decided"], rows[3]["decided_by"], rows[3]["decision"]) == ("ocean area", "ann", "")


def test_formulas_are_made_harmless_and_read_back(tmp_path):
    proposals = from_rows([proposal("x", examples='=HYPERLINK("http://evil")')], PROPOSALS)
    write_sheet(tmp_path / "r.csv", review_rows(proposals, types(), subclasses(), {}))
    text = (tmp_path / "r.csv").read_text(encoding="utf-8-sig")
    assert "'=HYPERLINK" in text
    path = sheet(tmp_path / "s.csv", ["Q1,'-berg,church,,"])
    assert read(path)[0].type == "-berg"


# -- reading --


def test_a_filled_sheet_is_read(tmp_path):
    path = sheet(
        tmp_path / "s.csv",
        [
            "hl:sea,sea,ocean area,bo,open water",
            "hl:hut,hut,,,",
            "hl:thing,thing,DROP,,",
            "Q1,keep,castle/fort,,",
            ",,,,",
        ],
    )
    sea, thing, keep = read(path)
    assert (sea.label_id, sea.label, sea.reviewer, sea.reason) == ("hl:ocean-area", "ocean area ", "bo", "open water")
    assert (thing.action, thing.label_id, thing.reviewer, thing.date) == ("drop", "", "ann", "2026-11-24")
    assert keep.label_id == CASTLE.label_id


MANGLED = {
    "semicolons": lambda t: t.replace(",", ";"),
    "tabs": lambda t: t.replace(",", "\t"),
    "CRLF": lambda t: t.replace("\n", "\r\n"),
    "BOM": lambda t: "\ufeff" + t,
    "stray spaces": lambda t: t.replace(",", " , "),
    "blank lines": lambda t: t.replace("\n", "\n,,,,\n"),
}


@pytest.mark.parametrize("mangle", MANGLED.values(), ids=MANGLED.keys())
def test_mangled_sheets_are_read(tmp_path, mangle):
    text = "type_id,type,decision,reviewer,reason\nhl:sea,sea,ocean area,bo,open\nhl:tarn,tarn,lake,bo,small\n"
    path = tmp_path / "s.csv"
    path.write_bytes(mangle(text).encode("utf-8"))
    assert [(d.type_id, d.outcome, d.reviewer) for d in read(path)] == [
        ("hl:sea", "ocean area ", "bo"),
        ("hl:tarn", "lake", "bo"),
    ]


def test_utf16_is_read(tmp_path):
    path = tmp_path / "s.csv"
    path.write_bytes("type_id\ttype\tdecision\nhl:chateau\tchâteau\tcastle / fort\n".encode("utf-16"))
    assert read(path)[0].type == "château"


FAULTS = {
    "cell C2: there is no label 'chuch': did you mean church?": "hl:a,a,chuch,,",
    "cell C3: there is no label 'lak': did you mean lake?": "hl:a,a,lake,,\nhl:b,b,lak,,",
    "cell C2: there is no label 'castel': did you mean castle / fort?": "hl:a,a,castel,,",
    "cell C4: there is no label 'lak'": "hl:a,a,lake,,\n,,,,\nhl:b,b,lak,,",
    "cell C2: a reason without a decision": "hl:a,a,,,because",
    "cell A2 was broken by a spreadsheet; got #NAME?": "#NAME?,a,lake,,",
    "row 2: type_id does not fit the type": "hl:b,a,lake,,",
    "row 2: type is empty": "hl:b,,lake,,",
    "cell F2 stands beside no column name": "hl:a,a,lake,,,more",
    "is no CSV": 'hl:a,"a"b,lake,,',
}


@pytest.mark.parametrize(("message", "rows"), FAULTS.items())
def test_what_cannot_be_read_is_refused_with_its_address(tmp_path, message, rows):
    path = sheet(tmp_path / "s.csv", rows.split("\n"))
    with pytest.raises(TableError) as caught:
        read(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert not str(caught.value).endswith("?.")


WIDE = "type_id,type,landmarks,settles,confidence,decided,decision,reviewer,reason"


@pytest.mark.parametrize("number", ["1,234", "1.234", "1 234", "1\u202f234", "1'234", " 1234 ", "1,23E+03", "", "12 %"])
def test_numbers_with_marks_of_any_country_are_read(tmp_path, number):
    path = sheet(tmp_path / "s.csv", [f'hl:a,a,"{number}",3,"0,73",,lake,,'], WIDE)
    assert [decision.label for decision in read(path)] == ["lake"]


def test_a_row_whose_cells_moved_is_not_believed(tmp_path):
    path = sheet(tmp_path / "s.csv", ["hl:b,b,3,3,0.5,,lake,,", "hl:a,a,3,0.5,lake,,ann,,"], WIDE)
    with pytest.raises(TableError, match=r"cell E3 is no number; got 'lake'.*back in their columns"):
        read(path)


def test_a_sheet_that_is_none_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"is a folder.*review\.csv"):
        read(tmp_path)
    (tmp_path / "s.xlsx").write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(TableError, match=r"workbook of a spreadsheet.*CSV UTF-8"):
        read(tmp_path / "s.xlsx")
    path = tmp_path / "s.csv"
    with pytest.raises(MissingDataError, match="does not exist"):
        read(path)
    path.write_text("")
    with pytest.raises(TableError, match="is empty"):
        read(path)
    path.write_text("type_id,type\n")
    with pytest.raises(TableError, match="needs one column decision"):
        read(path)
    path.write_bytes("type_id,type,decision\nhl:a,a,lake\nhl:chateau,château,lake\n".encode("latin-1"))
    with pytest.raises(TableError, match=r"row 3 is not UTF-8.*CSV UTF-8"):
        read(path)


def test_columns_far_right_have_two_letters(tmp_path):
    header = ",".join(["type_id", "type", *(f"x{i}" for i in range(25)), "decision"])
    path = sheet(tmp_path / "s.csv", ["hl:a,a," + "," * 25 + "lak"], header)
    with pytest.raises(TableError, match="cell AB2"):
        read(path)


def test_without_any_reviewer_it_is_refused(tmp_path):
    with pytest.raises(TableError, match="row 2: reviewer is empty"):
        read(sheet(tmp_path / "s.csv", ["hl:a,a,lake,,"]), reviewer="")


# -- merging --


def filled(*decisions):
    return [Filled(decision, f"s.csv cell C{row}") for row, decision in enumerate(decisions, start=2)]


def test_new_decisions_are_appended_and_known_ones_are_not():
    history = [decide("church", CHURCH)]
    new = merge(history, filled(decide("church", CHURCH), decide("pond", LAKE), decide("pond", LAKE)))
    assert new == [decide("pond", LAKE)]


def test_a_second_reviewer_who_agrees_adds_nothing():
    assert merge([decide("church", CHURCH)], filled(decide("church", CHURCH, "bo"))) == []


def test_one_may_change_ones_own_mind_and_an_old_sheet_does_not_change_it_back():
    old, new = decide("pond", CHURCH), decide("pond", LAKE)
    history = [old, *merge([old], filled(new))]
    assert history == [old, new]
    assert merge(history, filled(old)) == []


def test_contradictions_are_listed_and_nothing_is_merged():
    history = [decide("church", CHURCH), decide("pond", LAKE)]
    with pytest.raises(CorruptInputError) as caught:
        merge(history, filled(decide("church", None, "bo"), decide("sea", OCEAN, "bo"), decide("pond", CHURCH, "bo")))
    text = str(caught.value)
    assert "nothing was applied, for 2 contradictions" in text
    assert "s.csv cell C2: church (hl:church): drop by bo" in text
    assert "decided before: pond (hl:pond): lake by ann" in text
    assert merge(history, filled(decide("church", None, "bo")), overrule=True) == [decide("church", None, "bo")]


def test_two_sheets_that_disagree_are_refused_even_when_overruling():
    with pytest.raises(CorruptInputError, match=r"C3: pond.*but s.csv cell C2: lake"):
        merge([], filled(decide("pond", LAKE, "ann"), decide("pond", CHURCH, "bo")), overrule=True)


# -- applying --


def test_applying_appends_and_applying_again_changes_nothing(tmp_path):
    folder = labels_folder(tmp_path / "labels", [decide("church", CHURCH, reason="it is one")])
    path = folder / "decisions.csv"
    before = path.read_bytes()
    rows = ['hl:tarn,tarn,lake,,"small, deep"', "hl:church,church,church,,"]
    filled_sheet = sheet(tmp_path / "s.csv", rows)
    added = apply_sheets([filled_sheet], folder, reviewer="bo", date="2026-11-24")
    assert [decision.type for decision in added] == ["tarn"]
    after = path.read_bytes()
    assert after.startswith(before)
    assert after[len(before) :].decode() == 'hl:tarn,tarn,label,hl:lake,lake,bo,2026-11-24,"small, deep"\n'
    assert apply_sheets([filled_sheet], folder, reviewer="bo", date="2026-11-25") == []
    assert path.read_bytes() == after


def test_a_last_line_without_a_line_break_is_not_joined(tmp_path):
    folder = labels_folder(tmp_path / "labels", [decide("church", CHURCH)])
    path = folder / "decisions.csv"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    apply_sheets([sheet(tmp_path / "s.csv", ["hl:tarn,tarn,lake,,"])], folder, reviewer="bo", date="2026-11-24")
    assert [d.type for d in read_decisions(path, TAXONOMY)] == ["church", "tarn"]


def test_one_wrong_cell_and_nothing_is_applied(tmp_path):
    folder = labels_folder(tmp_path / "labels", [decide("church", CHURCH)])
    before = (folder / "decisions.csv").read_bytes()
    good = sheet(tmp_path / "good.csv", ["hl:tarn,tarn,lake,,"])
    bad = sheet(tmp_path / "bad.csv", ["hl:mere,mere,lak,,"])
    with pytest.raises(TableError, match=r"bad.csv cell C2"):
        apply_sheets([good, bad], folder, reviewer="bo", date="2026-11-24")
    assert (folder / "decisions.csv").read_bytes() == before
    assert sorted(p.name for p in folder.iterdir()) == ["decisions.csv", "taxonomy.csv"]


# -- the stage and the status --


def test_the_stage_gives_what_counts_and_a_sheet(tmp_path):
    folder = labels_folder(tmp_path / "labels", [decide("church", LAKE), decide("church", CHURCH)])
    (tmp_path / "review").mkdir()
    proposals = from_rows([proposal("church"), proposal("hut")], PROPOSALS)
    made = STAGE.run(
        ReviewParams(folder),
        {"proposals": proposals, "types": types(), "subclasses": subclasses()},
        {"review": tmp_path / "review"},
    )
    assert made["decisions"]["label_id"].to_pylist() == ["hl:church"]
    assert (tmp_path / "review/review.csv").read_text(encoding="utf-8-sig").count("\n") == 3
    assert set(STAGE.reads(ReviewParams(folder))) == {folder / "taxonomy.csv", folder / "decisions.csv"}


def test_status_counts_what_is_settled_and_what_each_hour_would():
    places = categories(*(landmark(n) for n in range(6)))
    rows = [stated(0, "church"), stated(1, "hut"), stated(2, "hut"), stated(2, "shed"), stated(3, "thing")]
    proposals = from_rows(
        [proposal("church", 1), proposal("hut", 2), proposal("shed", 1), proposal("thing", 1)], PROPOSALS
    )
    decisions = decided(decide("church", CHURCH), decide("thing", None), decide("gone", LAKE))
    todo = review_rows(proposals, types(*rows), subclasses(), decisions)
    sizes = {("train", "1"): 5, ("train", "2"): 7}
    result = status(types(*rows), places, todo, decisions, images=sizes, rate=1)
    assert (result.types, result.decided, result.landmarks, result.settled) == (4, 2, 6, 1)
    assert (result.waiting, result.waiting_images, result.stale) == (2, 12, 1)
    assert [(h.types, h.landmarks, h.images, h.landmarks_left) for h in result.hours] == [(1, 1, 5, 1), (1, 1, 7, 0)]
    assert "2 of 4 types are decided" in result.text()
    assert "1 decision about types or landmarks that are not in this run: kept" in result.text()
    (hour,) = status(types(*rows), places, todo, decisions, rate=2).hours
    assert (hour.types, hour.landmarks, hour.landmarks_left) == (2, 2, 0)


def test_a_long_review_shows_its_first_hours_and_its_last():
    names = [f"kind {n}" for n in range(30)]
    rows = types(*(stated(n, name) for n, name in enumerate(names)))
    todo = review_rows(from_rows([proposal(name) for name in names], PROPOSALS), rows, subclasses(), {})
    lines = status(rows, categories(*(landmark(n) for n in range(30))), todo, {}, rate=1).text().splitlines()
    assert [line.split()[0] for line in lines[5:]] == [*map(str, range(1, 11)), "…", "30"]
    with pytest.raises(UsageError, match="got 0 an hour"):
        status(rows, categories(), todo, {}, rate=0)


def test_status_counts_a_decision_by_name_as_used():
    proposals = from_rows([proposal("chapel", type_id="Q108325")], PROPOSALS)
    rows = types(stated(0, "chapel", key="Q108325"))
    decisions = decided(decide("chapel", CHURCH))
    result = status(rows, categories(landmark(0)), review_rows(proposals, rows, subclasses(), decisions), decisions)
    assert (result.settled, result.stale) == (1, 0)


def test_decisions_about_types_that_are_gone_are_kept(tmp_path):
    folder = labels_folder(tmp_path / "labels", [decide("gone", LAKE)])
    apply_sheets([sheet(tmp_path / "s.csv", ["hl:tarn,tarn,lake,,"])], folder, reviewer="bo", date="2026-11-24")
    assert "hl:gone" in effective(read_decisions(folder / "decisions.csv", TAXONOMY))
