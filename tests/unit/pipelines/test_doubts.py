"""Landmarks of uncertain label as a sheet: most informative first, decided ones never, one line a place."""

from __future__ import annotations

import pytest

from hierlandmarks.errors import UsageError
from hierlandmarks_pipelines.doubts import STAGE, DoubtsParams, doubtful
from hierlandmarks_pipelines.labelfiles import effective, read_decisions
from hierlandmarks_pipelines.review import apply_sheets
from hierlandmarks_pipelines.reviewsheet import read_sheet
from tests.labelworld import CHURCH, LAKE, TAXONOMY, assigned, assignments, labels_folder


def guessed(number, confidence, label=CHURCH, **cells):
    return assigned(number, label, source="name", confidence=confidence, name=f"Place {number}", **cells)


def test_the_most_informative_places_come_first():
    rows = assignments(
        guessed(1, 0.9), guessed(2, 0.5), guessed(3, 0.0, None), guessed(4, 0.99), assigned(5, LAKE, confidence=0.5)
    )
    found = doubtful(rows, {}, confidence=0.95)
    assert [row.type for row in found.rows] == ["Place 2", "Place 1", "Place 3"]
    more = doubtful(rows, {("train", "1"): 100}, confidence=0.95)
    assert more.rows[0].type == "Place 1"  # an answer would settle a hundred images


def test_train_and_index_of_one_category_are_one_line():
    found = doubtful(assignments(guessed(1, 0.5), guessed(1, 0.6, space="index")), {}, confidence=0.95)
    (row,) = found.rows
    assert (row.type_id, row.landmarks, row.confidence) == ("commons:Place 1", 2, 0.6)
    assert {key: set(places) for key, places in found.places.items()} == {
        "commons:Place 1": {("train", "1"), ("index", "1")}
    }


def test_the_sheet_comes_back_as_decisions_about_landmarks(tmp_path):
    inputs = {"assignments": assignments(guessed(1, 0.5), guessed(2, 0.4, category=""))}
    (tmp_path / "doubts").mkdir()
    STAGE.run(DoubtsParams(), inputs, {"doubts": tmp_path / "doubts"})
    sheet = tmp_path / "doubts/doubts.csv"
    text = sheet.read_text(encoding="utf-8-sig")
    filled = "\n".join(line[:-2] + "lake,," if "Place" in line else line for line in text.splitlines())
    sheet.write_text(filled, encoding="utf-8")
    assert {e.decision.type_id for e in read_sheet(sheet, TAXONOMY, "ann", "2026-11-24")} == {
        "commons:Place 1",
        "train:2",
    }
    folder = labels_folder(tmp_path / "labels")
    apply_sheets([sheet], folder, reviewer="ann", date="2026-11-24")
    kept = effective(read_decisions(folder / "decisions.csv", TAXONOMY))
    assert kept["commons:Place 1"].label_id == "hl:lake"
    assert "Landmarks to decide" in (tmp_path / "doubts/index.html").read_text()


def test_settings_out_of_range_are_refused():
    with pytest.raises(UsageError, match="confidence is out of range"):
        DoubtsParams(confidence=1.5)
    with pytest.raises(UsageError, match="needs lines"):
        DoubtsParams(most=0)
