"""Types and decisions to labels: every rule by itself, the honest none, and clues from names."""

from __future__ import annotations

import pytest

from hierlandmarks.errors import TableError, UsageError
from hierlandmarks_pipelines.assign import AGREED, COUNTED, PREFERRED, STAGE, AssignParams, assign
from hierlandmarks_pipelines.inherit import INHERITED
from hierlandmarks_pipelines.labelfiles import decisions_table
from hierlandmarks_pipelines.nameclues import END, NOTE, START, find_clue, lexicon
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
    reasons,
    stated,
    subclasses,
    types,
)

DECISIONS = decided(
    decide("chapel", CHURCH),
    decide("cathedral", CHURCH),
    decide("castle", CASTLE),
    decide("fort", CASTLE),
    decide("lake", LAKE),
    decide("bay", OCEAN),
    decide("building", None, reason="every building is one"),
)


def give(*rows, name="Somewhere", edges=(), decisions=DECISIONS, codes=None, **settings):
    """The assignment of landmark 0."""
    places = categories(landmark(0, name), *(landmark(n) for n in range(1, 9)))
    made = assign(places, types(*rows), subclasses(*edges), reasons(places, codes), decisions, TAXONOMY, **settings)
    assert made.num_rows == places.num_rows
    return made.to_pylist()[0]


def test_a_decided_type_gives_its_label():
    row = give(stated(0, "bay"))
    assert (row["label"], row["natural_or_human_made"]) == ("ocean area ", "natural")
    assert (row["type"], row["source"], row["confidence"], row["runner_up"]) == ("bay", "decision", AGREED, "")
    assert row["reason"] == "bay was decided to be ocean area"


def test_a_dropped_type_does_not_stand_in_the_way():
    row = give(stated(0, "building", rank="preferred"), stated(0, "chapel"))
    assert (row["label"], row["confidence"]) == ("church", AGREED)


def test_preferred_before_normal():
    row = give(stated(0, "chapel"), stated(0, "lake", rank="preferred"), stated(1, "chapel"))
    assert (row["label"], row["runner_up"], row["confidence"]) == ("lake", "church", PREFERRED)
    assert "the preferred statement, before chapel (church)" in row["reason"]


def test_not_ended_before_ended():
    row = give(stated(0, "castle", ended=True), stated(0, "lake"), stated(1, "castle"))
    assert row["label"] == "lake"
    assert "has not ended" in row["reason"]


def test_preferred_counts_before_not_ended():
    assert give(stated(0, "castle", rank="preferred", ended=True), stated(0, "lake"))["label"] == "castle / fort"


def test_an_ended_type_is_better_than_none():
    assert give(stated(0, "castle", ended=True))["label"] == "castle / fort"


def test_a_type_before_a_class_above_it():
    edges = [("chapel", "sacred place"), ("sacred place", "castle")]
    row = give(stated(0, "castle"), stated(0, "chapel"), stated(1, "castle"), stated(2, "castle"), edges=edges)
    assert (row["label"], row["confidence"]) == ("church", PREFERRED)
    assert "the more special type" in row["reason"]


def test_only_decided_types_count_as_more_special():
    rows = [stated(0, "castle"), stated(0, "chapel"), stated(0, "hut"), stated(1, "castle")]
    assert give(*rows, edges=[("hut", "castle")])["label"] == "castle / fort"


def test_then_the_type_of_most_landmarks():
    row = give(stated(0, "chapel"), stated(0, "lake"), stated(1, "lake"))
    assert (row["label"], row["confidence"]) == ("lake", COUNTED)
    assert "of more landmarks" in row["reason"]


def test_then_the_lowest_id():
    assert give(stated(0, "chapel"), stated(0, "lake"))["label"] == "church"


def test_types_that_agree_are_sure():
    row = give(stated(0, "castle"), stated(0, "fort"))
    assert (row["confidence"], row["runner_up"]) == (AGREED, "")


def test_a_decision_about_the_name_holds_for_the_class_and_says_so():
    row = give(stated(0, "chapel", key="Q108325"))
    assert row["label"] == "church"
    assert "under the id of its name, hl:chapel" in row["reason"]


def test_a_label_has_the_name_and_kind_of_today():
    row = give(
        stated(0, "tarn"), decisions=decided(decide("tarn", LAKE.__class__("hl:lake", "mere", "human-made", "", "")))
    )
    assert (row["label"], row["natural_or_human_made"]) == ("lake", "natural")


# -- none, and why --


def test_an_undecided_type_is_named():
    row = give(stated(0, "hut"), stated(0, "building"))
    assert (row["label_id"], row["label"], row["source"], row["confidence"]) == ("", "", "none", 0.0)
    assert row["reason"] == "no decision yet about hut"
    assert row["type"] == "building"  # what it is stays visible; the first by the same rules


def test_a_dropped_type_says_why():
    assert give(stated(0, "building"))["reason"] == "dropped: building (every building is one)"


def test_a_landmark_without_a_type_says_why():
    reason = "no type (no-item): The category is linked to no Wikidata item, and no item names it (P373)."
    assert give(codes={"0": "no-item"})["reason"] == reason
    row = give()
    assert (row["type_id"], row["type"], row["reason"]) == ("", "", "no type is known")


# -- names --


@pytest.mark.parametrize(
    ("name", "label_id", "confidence"),
    [
        ("Fremont Castle (Seattle)", "hl:castle-fort", END),
        ("Saint Anne's Chapel, Lyon", "hl:church", END),
        ("Three Lakes", "hl:lake", END),
        ("Cathedral of Flight", "hl:church", END),
        ("Wawona (castle, 1897)", "hl:castle-fort", NOTE),
        ("Lake Chelan", "hl:lake", START),
        ("Bay%20of%20Pigs", "hl:ocean-area", END),
        ("CASTLE", "hl:castle-fort", END),
    ],
)
def test_names_give_clues(name, label_id, confidence):
    clue = find_clue(name, lexicon(TAXONOMY, DECISIONS.values()))
    assert (clue.label_id, clue.confidence) == (label_id, confidence)


@pytest.mark.parametrize(
    "name",
    [
        "Mount Rainier",
        "Chapelle",
        "12 Castle",
        "Peter Kirk Building",
        "Lakeside (Castle)",
        "",
        "(",
        "湖",
    ],
)
def test_names_that_say_nothing(name):
    clue = find_clue(name, lexicon(TAXONOMY, DECISIONS.values()))
    assert clue is None


def test_the_longest_phrase_wins():
    decisions = [*DECISIONS.values(), decide("castle chapel", LAKE)]
    assert find_clue("Old Castle Chapel", lexicon(TAXONOMY, decisions)).label_id == "hl:lake"


def test_doubtful_words_are_no_clue():
    assert "tower" not in lexicon(TAXONOMY, [decide("tower", CASTLE)])
    assert "bell tower" in lexicon(TAXONOMY, [decide("bell tower", CASTLE)])


def test_a_sure_name_stands_in_where_no_type_decides():
    row = give(stated(0, "building"), name="Neely Castle")
    assert (row["label"], row["source"], row["confidence"]) == ("castle / fort", "name", END)
    assert row["reason"] == "the name has 'castle' at the end; dropped: building (every building is one)"
    assert row["type"] == "building"


def test_a_name_never_overrules_a_decision():
    assert give(stated(0, "lake"), name="Castle")["label"] == "lake"


def test_below_the_threshold_a_name_gives_nothing():
    assert give(name="Neely Castle", name_threshold=END)["source"] == "name"
    assert give(name="Neely Castle", name_threshold=END + 0.01)["source"] == "none"


# -- decisions about one landmark, inherited ones, guesses --


def test_a_decision_about_the_landmark_itself_comes_first():
    itself = decide("Somewhere", CASTLE, reason="seen", key="commons:Somewhere")
    row = give(stated(0, "lake", rank="preferred"), decisions=DECISIONS | decided(itself))
    assert (row["label"], row["source"], row["confidence"], row["type"]) == (
        "castle / fort",
        "decision",
        AGREED,
        "lake",
    )
    assert row["reason"] == "ann decided about this landmark: seen"
    dropped = decided(decide("Somewhere", None, key="commons:Somewhere"))
    row = give(stated(0, "lake"), decisions=DECISIONS | dropped)
    assert (row["label"], row["source"], row["confidence"]) == ("", "decision", 0.0)


def test_an_inherited_decision_is_an_ancestor_s():
    above = decide("oratory", CHURCH, reviewer=INHERITED, reason="inherited from chapel (hl:chapel)")
    row = give(stated(0, "oratory"), decisions=DECISIONS | decided(above))
    assert (row["label"], row["source"], row["confidence"]) == ("church", "ancestor", PREFERRED)
    assert row["reason"] == "oratory has no decision of its own; inherited from chapel (hl:chapel)"


@pytest.mark.parametrize(("threshold", "label", "runner_up"), [(0.6, "lake", "church"), (0.8, "", "lake")])
def test_a_guess_fills_what_no_decision_settles(threshold, label, runner_up):
    asked = []

    def guess(rows):
        asked.extend(row["name"] for row in rows)
        cells = {"label_id": LAKE.label_id, "label": "lake", "natural_or_human_made": "natural", "confidence": 0.7}
        return [cells | {"source": "name", "runner_up": "church", "reason": "the name says lake"} for _ in rows]

    row = give(name="Chapel", guess=guess, name_threshold=threshold)
    assert asked[0] == "Chapel"
    assert (row["label"], row["runner_up"], row["confidence"]) == (label, runner_up, 0.7)
    assert row["source"] == ("name" if label else "none")
    assert row["reason"] == "the name says lake; no type is known"
    assert give(stated(0, "chapel"), guess=guess)["source"] == "decision"


# -- bad input --


def test_wrong_input_is_refused():
    with pytest.raises(UsageError, match="name_threshold is out of range"):
        give(name_threshold=-0.1)
    with pytest.raises(UsageError, match="name_threshold is out of range"):
        give(name_threshold=float("nan"))
    with pytest.raises(TableError, match=r"train landmark 77 is not in the table categories.*train and index"):
        give(stated(77, "lake"))
    with pytest.raises(TableError, match="index landmark 0 is not in the table"):
        give(stated(0, "lake", space="index"))
    gone = decided(decide("lake", LAKE.__class__("hl:lakes", "lakes", "natural", "", "")))
    with pytest.raises(TableError, match="unknown label 'hl:lakes': did you mean hl:lake"):
        give(decisions=gone)


def test_the_stage(tmp_path):
    folder = labels_folder(tmp_path)
    places = categories(landmark(0, "Lake Anne"))
    inputs = {
        "categories": places,
        "types": types(stated(0, "chapel")),
        "subclasses": subclasses(),
        "reasons": reasons(places),
        "decisions": decisions_table(DECISIONS.values()),
    }
    made = STAGE.run(AssignParams(labels=folder), inputs, {})
    assert made["assignments"]["label_id"].to_pylist() == ["hl:church"]
    assert STAGE.reads(AssignParams(labels=folder)) == (folder / "taxonomy.csv",)
