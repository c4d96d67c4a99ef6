"""words.csv: found in names of many scripts, read with the row of every fault, and the bundled file itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from hierlandmarks.errors import MissingDataError, TableError
from hierlandmarks_pipelines.labelfiles import label_files, read_taxonomy
from hierlandmarks_pipelines.namefeatures import name_features
from hierlandmarks_pipelines.words import COLUMNS, Words, fold, read_words, split_words, words_file
from tests.labelworld import CHURCH, LAKE, TAXONOMY, decide

HEADER = ",".join(COLUMNS)
ROWS = """Kirche,word,de,church,
kirche,suffix,de,church,
église,word,fr,church,
All Saints,phrase,en,church,
fort,word,en fr,castle / fort,
Lac,word,fr,lake,
lac,word,fr,ocean area,really
llyn,prefix,cy,lake,
湖,word,ja zh,lake,
湖,suffix,ja zh,lake,
城,word,ja,castle / fort,
"""


def write(folder: Path, rows: str = ROWS, header: str = HEADER) -> Path:
    path = folder / "words.csv"
    path.write_text(f"{header}\n{rows}", encoding="utf-8")
    return path


@pytest.fixture
def words(tmp_path: Path) -> Words:
    return read_words(write(tmp_path), TAXONOMY)


def found(words: Words, name: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(hit.entry.text, hit.entry.label_ids) for hit in words.find(split_words(name))]


def test_text_is_folded():
    assert fold("ŁÓDŹ İzmir Straße Ærø") == "lodz izmir strasse aero"
    assert fold("Киевский") == fold("КИЕВСКИЙ")
    assert split_words("Kōzan-ji (Kyoto)") == ["kozan", "ji", "kyoto"]
    assert split_words("วัดพระแก้ว") == ["วัดพระแก้ว"]
    assert split_words(" -- ") == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Kirche", "kirche"),
        ("KIRCHE", "kirche"),
        ("Nikolaikirche", "kirche"),
        ("Eglise Saint-Paul", "eglise"),
        ("Forts", "fort"),
        ("All Saints, York", "all saints"),
        ("Llyngwyn", "llyn"),
        ("芦ノ湖", "湖"),
        ("大阪城公園", "城"),
    ],
)
def test_a_word_is_found(words, name, text):
    assert [entry for entry, _ in found(words, name)] == [text]


@pytest.mark.parametrize("name", ["", "Fortress", "xkirche", "llyn", "Kirchen", "All the Saints"])
def test_nothing_is_found_that_is_not_there(words, name):
    assert found(words, name) == []


def test_a_word_with_two_labels_is_one_entry(words):
    assert found(words, "Lac Bleu") == [("lac", ("hl:lake", "hl:ocean-area"))]


def test_the_longest_phrase_comes_first(words):
    more = words.with_types([decide("All Saints fort", LAKE), decide("kirche", LAKE), decide("dropped", None)])
    assert found(more, "All Saints Fort") == [("all saints fort", ("hl:lake",))]
    assert found(more, "Kirche") == [("kirche", (CHURCH.label_id,))], "a word of the file is not replaced"
    assert found(more, "dropped") == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("--,word,en,lake,", r"row 2: word has no letter or digit; got '--'"),
        ("mere,noun,en,lake,", r"row 2: kind is wrong; got 'noun', expected word or prefix or suffix or phrase"),
        ("mere,word,en,lakes,", r"row 2: there is no label 'lakes': did you mean lake"),
        ("mere,word,English,lake,", r"row 2: language is wrong; got 'English', expected codes such as de"),
        ("big mere,word,en,lake,", r"row 2: 'big mere' does not fit kind word"),
        ("mere,phrase,en,lake,", r"row 2: 'mere' does not fit kind phrase"),
        ("Méré,word,fr,lake,\nmere,word,en,lake,", r"row 3: 'mere' stands for 'lake' in row 2 already"),
        ("mere,word,en", r"row 2"),
    ],
)
def test_a_faulty_row_is_named(tmp_path, row, message):
    with pytest.raises(TableError, match=message):
        read_words(write(tmp_path, row + "\n"), TAXONOMY)


def test_a_missing_column_or_file_is_named(tmp_path):
    with pytest.raises(TableError, match="language"):
        read_words(write(tmp_path, "mere,word,lake,\n", "word,kind,label,note"), TAXONOMY)
    with pytest.raises(MissingDataError, match=r"nothing\.csv does not exist"):
        read_words(tmp_path / "nothing.csv", TAXONOMY)


def test_a_bom_and_crlf_are_read(tmp_path):
    path = tmp_path / "words.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\nmere,word,en,lake,\r\n".encode())
    assert found(read_words(path, TAXONOMY), "Mere") == [("mere", ("hl:lake",))]


def test_the_bundled_words_name_every_label_in_many_languages():
    taxonomy = read_taxonomy(label_files(None)[0])
    words = read_words(words_file(None), taxonomy)
    entries = [entry for kind in words.entries.values() for entry in kind.values()]
    assert {label for entry in entries for label in entry.label_ids} == set(taxonomy.by_id)
    assert len({code for entry in entries for code in entry.languages}) > 50
    for name, label in {
        "Nikolaikirche": "church",
        "Церковь": "church",
        "神社": "shinto-shrine",
        "Jezioro": "lake",
        "Zámek": "castle-fort",
        "Vodopád": "waterfall",
    }.items():
        (hit,) = words.find(split_words(name))
        assert f"hl:{label}" in hit.entry.label_ids


def test_features_tell_place_from_place(words):
    last, first = name_features("Old Fort", words), name_features("Fort Old", words)
    assert "hl:castle-fort last" in last
    assert "hl:castle-fort first" in first
    assert "hl:castle-fort before link" in name_features("The Fort of Gold", words)
    assert "hl:castle-fort note" in name_features("Gold (fort)", words)
    assert "hl:castle-fort rest" in name_features("Gold, Fort", words)
    assert "hl:church last within a word" in name_features("Alte Nikolaikirche", words)
    assert "no known word" in name_features("Gold", words)
    assert "has year" in name_features("Gold (ship, 1897)", words)
    assert name_features("", words) == {"no known word": 1.0, "0 words": 0.5}


def test_features_are_shared_by_languages(words):
    shared = name_features("Église", words).keys() & name_features("Kirche", words).keys()
    assert {"hl:church", "hl:church alone", "meaning hl:church alone"} <= shared
    assert all(0 < weight <= 1 for weight in name_features("All Saints Kirche (lac), fort", words).values())
