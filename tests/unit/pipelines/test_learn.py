"""Learning from labelled landmarks: what is told apart, what is held out, equal input, equal answers."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from hierlandmarks.errors import TableError, UsageError
from hierlandmarks_pipelines.blend import opinion
from hierlandmarks_pipelines.clues import Clue, Landmarks, neighbours, place_words, whole_type
from hierlandmarks_pipelines.encoders import find_encoder
from hierlandmarks_pipelines.guesses import Learnt, landmark_name, learn_guess, read_asked
from hierlandmarks_pipelines.learn import FOLDS, learn, with_frequencies
from hierlandmarks_pipelines.trust import learn_trust
from hierlandmarks_pipelines.words import read_words
from tests.labelworld import CASTLE, CHURCH, LAKE, TAXONOMY, decide, labels_folder

WORDS = "word,kind,language,label,note\nkirche,suffix,de,church,\nlac,word,fr,lake,\nburg,suffix,de,castle / fort,\n"
MODEL = "lexical-ngrams"
CODE = {label.label: code for code, label in enumerate(TAXONOMY.labels)}


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIERLANDMARKS_HOME", str(tmp_path_factory.mktemp("home")))


def labelled(count: int = 30) -> list[tuple[str, str]]:
    kinds = (("{}kirche", "church"), ("Lac {}", "lake"), ("{}burg", "castle / fort"))
    return [(shape.format(f"Nam{i}o{i % 7}"), label) for i in range(count // 3) for shape, label in kinds]


def make(folder: Path, rows: list[tuple[str, str]] | None = None) -> tuple[Path, Path]:
    labels = labels_folder(folder / "labels", [decide("chapel", CHURCH), decide("tarn", LAKE), decide("keep", CASTLE)])
    (labels / "words.csv").write_text(WORDS, encoding="utf-8")
    train = folder / "train.csv"
    lines = [f"{i},{name},{label}" for i, (name, label) in enumerate(rows or labelled())]
    train.write_text("\n".join(["landmark_id,category,hierarchical_label", *lines]) + "\n", encoding="utf-8")
    return labels, train


def learnt(folder: Path, **settings: object) -> Learnt:
    labels, train = make(folder)
    return learn_guess(train, labels, MODEL, **settings)


def rows(*names: str, **cells: str) -> list[dict[str, str]]:
    return [{"name": name, "type": "", "location": "", **cells} for name in names]


def test_names_tell_labels(tmp_path):
    found = learnt(tmp_path).guess(rows("Kreuzkirche", "Lac Noir", "Marksburg"))
    assert [cells["label"] for cells in found] == ["church", "lake", "castle / fort"]
    assert all(0.5 < cells["confidence"] <= 1 for cells in found)
    assert {cells["source"] for cells in found} == {"name"}
    assert found[0]["runner_up"] != "church"
    assert (found[1]["natural_or_human_made"], found[1]["label_id"]) == ("natural", "hl:lake")
    assert "name says church, as learnt from 30 labelled landmarks" in found[0]["reason"]


def test_a_type_nobody_decided_about_is_read_as_well(tmp_path):
    (found,) = learnt(tmp_path).guess(rows("Nowhere", type="burial chapel"))
    assert (found["label"], found["source"]) == ("church", "name+type")


def test_nothing_known_is_said_so(tmp_path):
    (found,) = learnt(tmp_path).guess(rows("??"))
    assert (found["label"], found["confidence"], found["source"]) == ("", 0.0, "none")


def test_equal_input_gives_equal_answers(tmp_path):
    first, second = (learnt(tmp_path / name).assigner for name in "ab")
    assert first.held_out.tobytes() == second.held_out.tobytes()
    asked = Landmarks(["Kreuzkirche", "Ganz anders"], ["", "tarn"], ["", ""])
    assert first.ask(asked).probabilities.tobytes() == second.ask(asked).probabilities.tobytes()


def test_held_out_answers_never_saw_the_landmark():
    """A clue that knows its own landmarks by heart, and says so, is no better than chance on those held out."""

    def by_heart(landmarks: Landmarks, codes: np.ndarray):
        known = dict(zip(landmarks.names, codes, strict=True))
        return lambda asked: np.stack([np.eye(3)[known[n]] if n in known else np.full(3, 1 / 3) for n in asked.names])

    codes = np.arange(60) % 3
    names = [f"n{i}" for i in range(60)]
    made = learn(Landmarks(names, [""] * 60, [""] * 60), codes, 3, [Clue("name", by_heart)])
    assert made.held_out == pytest.approx(np.full((60, 3), 1 / 3), abs=0.02)
    assert (made.ask(Landmarks(names, [""] * 60, [""] * 60)).order[:, 0] == codes).all()


def test_every_label_is_in_every_fold():
    seen: list[np.ndarray] = []

    def watch(landmarks: Landmarks, codes: np.ndarray):
        seen.append(np.bincount(codes, minlength=2))
        return lambda asked: np.full((len(asked.names), 2), 0.5)

    codes = np.array([0] * 50 + [1] * 10)
    learn(Landmarks([""] * 60, [""] * 60, [""] * 60), codes, 2, [Clue("name", watch)], seed=3)
    assert [counts.tolist() for counts in seen] == [[40, 8]] * FOLDS + [[50, 10]]


def test_frequencies_move_answers_by_bayes_rule(tmp_path):
    assigner = learnt(tmp_path).assigner
    asked = Landmarks(["Etwas"], [""], [""])
    wanted = assigner.frequencies.copy()
    wanted[CODE["lake"]] *= 100
    before, after = (one.ask(asked).probabilities[0] for one in (assigner, with_frequencies(assigner, wanted)))
    odds = (after[CODE["lake"]] / after[CODE["church"]]) / (before[CODE["lake"]] / before[CODE["church"]])
    assert odds == pytest.approx((10 * 100 + 0.5) / 10.5, rel=1e-6)
    assert with_frequencies(assigner, assigner.frequencies).ask(asked).probabilities[0] == pytest.approx(before)


def test_places_speak_where_they_were_learnt():
    places = ["Alps, Austria"] * 20 + ["Nile, Egypt"] * 20
    codes = np.repeat([0, 1], 20)
    opinion = place_words(2).learn(Landmarks([""] * 40, [""] * 40, places), codes)
    said = opinion(Landmarks([""] * 3, [""] * 3, ["Tyrol, Austria", "Egypt", "Peru"]))
    assert said.argmax(axis=1).tolist()[:2] == [0, 1]
    assert said.sum(axis=1) == pytest.approx([1, 1, 0])
    silent = place_words(2).learn(Landmarks(["a"], [""], [""]), np.array([0]))
    assert not silent(Landmarks(["a"], [""], ["Egypt"])).any()


def test_a_type_clue_is_silent_without_types(tmp_path):
    from hierlandmarks_pipelines.clues import lessons

    labels, _ = make(tmp_path)
    taught = lessons(TAXONOMY, [decide("chapel", CHURCH)])
    clue = whole_type(read_words(labels / "words.csv", TAXONOMY), find_encoder(MODEL), taught, 4)
    opinion = clue.learn(Landmarks(["Kreuzkirche"], [""], [""]), np.array([CODE["church"]]))
    said = opinion(Landmarks(["Kreuzkirche", "x"], ["", "chapel"], ["", ""]))
    assert not said[0].any()
    assert said[1].argmax() == CODE["church"]


def test_neighbours_vote():
    from hierlandmarks_pipelines.clues import Lessons

    clue = neighbours(find_encoder(MODEL), Lessons(("chapel",), (1,), (0.3,)), 3)
    opinion = clue.learn(Landmarks(["old castle"], [""], [""]), np.array([2]))
    said = opinion(Landmarks(["chapels", "castles"], ["", ""], ["", ""]))
    assert said.argmax(axis=1).tolist() == [1, 2]
    assert said[:, 0].tolist() == [0, 0]


def test_too_few_are_refused(tmp_path):
    labels, train = make(tmp_path, labelled(3))
    with pytest.raises(UsageError, match="too few labelled landmarks to learn from; got 3, expected 5 or more"):
        learn_guess(train, labels, MODEL)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("landmark_id,category\n1,a\n", "hierarchical_label"),
        ("landmark_id,category,hierarchical_label\n1,a,lake\n1,b,lake\n", "1"),
        ("landmark_id,category,hierarchical_label\n1,a,lakes\n", "row 2: there is no label 'lakes': did you mean lake"),
        ("landmark_id,category,hierarchical_label\n1,a,\n", "has no labelled row"),
        ("", "empty"),
    ],
)
def test_a_faulty_training_csv_is_named(tmp_path, text, message):
    labels, train = make(tmp_path)
    train.write_text(text, encoding="utf-8")
    with pytest.raises(TableError, match=message):
        learn_guess(train, labels, MODEL)


def test_names_come_from_addresses_or_stand_as_they_are():
    assert landmark_name("https://commons.wikimedia.org/wiki/Category:Lac_d%27Annecy") == "Lac d'Annecy"
    assert landmark_name(" Lac d'Annecy ") == "Lac d'Annecy"
    assert landmark_name("https://example.org/Lac") == ""


def test_trust_is_low_where_clues_disagree_and_matches_what_was_right():
    rng = np.random.default_rng(0)
    agree = rng.random(4000) < 0.5
    right = rng.random(4000) < np.where(agree, 0.95, 0.55)
    surest = np.array([0.9, 0.05, 0.05])
    probabilities = np.tile(surest, (4000, 1))  # the blend is as sure of all of them
    other = np.where(agree[:, None], surest, surest[[1, 0, 2]])
    heard = opinion(np.stack([probabilities, other]))
    trust = learn_trust(probabilities, heard, right)
    assert trust(probabilities, heard)[agree].mean() == pytest.approx(0.95, abs=0.02)
    assert trust(probabilities, heard)[~agree].mean() == pytest.approx(0.55, abs=0.03)
    assert trust(probabilities[:0], heard[:, :0]).shape == (0,)


def test_where_all_were_right_there_is_nothing_to_learn_and_the_blend_stands():
    probabilities = np.tile([0.7, 0.3], (10, 1))
    always = learn_trust(probabilities, opinion(probabilities[None]), np.ones(10, bool))
    assert always(probabilities[:3], opinion(probabilities[None, :3])).tolist() == [0.7, 0.7, 0.7]


def test_what_is_measured_is_asked_as_the_command_asks(root, tmp_path):
    script = runpy.run_path(str(root / "benchmark/perf/names.py"))
    found = learnt(tmp_path)
    path = tmp_path / "asked.csv"
    path.write_text("landmark_id,category\n7,Marksburg\n", encoding="utf-8")
    asked = read_asked(path)
    assert script["as_asked"]([{"landmark_id": "7", "category": "Marksburg"}]) == asked
    rows = [{**asked[0], "landmark_id": i, "hierarchical_label": i} for i in ("lake", "castle / fort")]
    assert script["by_types"](found, rows, dict.fromkeys(("lake", "castle / fort"), "tarn")) == (1, 2)
