"""`labels assign` from CSV to CSV, and in a run with --train: files, sheets, determinism, wrong input."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from hierlandmarks import cli
from hierlandmarks_pipelines.assigncsv import COLUMNS
from hierlandmarks_pipelines.calibration import CURVE
from tests.labelworld import CHURCH, LAKE, decide, labels_folder

COMMONS = "http://commons.wikimedia.org/wiki/Category:"
WORDS = "word,kind,language,label,note\nkirche,suffix,de,church,\nlac,word,fr,lake,\n"
ASKED = f"""landmark_id,category,supercategory
9,{COMMONS}Kreuzkirche,
7,{COMMONS}Lac_Noir,tarn
8,,
6,{COMMONS}Quux,
"""
CALL = ["--labels", "labels", "--model", "lexical-ngrams"]


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HIERLANDMARKS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    folder = labels_folder(tmp_path / "labels", [decide("tarn", LAKE, reason="a small one"), decide("chapel", CHURCH)])
    (folder / "words.csv").write_text(WORDS, encoding="utf-8")
    lines = [
        f"{i},{COMMONS}{f'Nam{i}kirche' if i % 2 else f'Lac_{i}'},{'church' if i % 2 else 'lake'}" for i in range(20)
    ]
    Path("train.csv").write_text("\n".join(["landmark_id,category,hierarchical_label", *lines]) + "\n")
    Path("asked.csv").write_text(ASKED)
    return tmp_path


def assign(*more: str, train: str = "train.csv", asked: str = "asked.csv", output: str = "out.csv") -> int:
    return cli.run(["labels", "assign", "--train", train, "--input", asked, "--output", output, *CALL, *more])


def read(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_csv_is_labelled(capsys):
    assert assign("--json", "--review", "doubts.csv", "--calibration", "curve.csv") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["landmarks"], result["labelled"]) == (4, 3)
    rows = read("out.csv")
    assert tuple(rows[0]) == COLUMNS
    assert [row["landmark_id"] for row in rows] == ["9", "7", "8", "6"], "the order of the input"
    assert [row["hierarchical_label"] for row in rows][:3] == ["church", "lake", ""]
    assert [row["natural_or_human_made"] for row in rows][:3] == ["human-made", "natural", ""]
    assert [row["source"] for row in rows] == ["name", "decision", "none", "name"]
    assert float(rows[1]["confidence"]) == 1
    assert rows[0]["runner-up"] in ("lake", "castle / fort", "ocean area ")
    assert [row["type_id"] for row in read("doubts.csv")] == ["commons:Quux", "train:8"]
    curve = read("curve.csv")
    assert list(curve[0]) == CURVE.names
    assert sum(int(row["landmarks"]) for row in curve) == 20


def test_a_decision_about_a_doubtful_landmark_settles_it(capsys):
    assert assign("--review", "doubts.csv") == 0
    text = Path("doubts.csv").read_text(encoding="utf-8-sig").splitlines()
    header = text[0].split(",")
    filled = [row | {"decision": "lake", "reason": "I was there"} for row in read("doubts.csv")[:1]]
    with Path("doubts.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, header)
        writer.writeheader()
        writer.writerows(filled)
    assert cli.run(["labels", "review", "apply", "doubts.csv", "--labels", "labels", "--reviewer", "bo"]) == 0
    assert assign() == 0
    first = read("out.csv")[-1]
    assert (first["hierarchical_label"], first["source"], first["confidence"]) == ("lake", "decision", "1.0")


def test_equal_input_gives_equal_bytes():
    assert assign(output="a.csv") == 0
    assert assign(output="b.csv") == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()


def test_a_bom_and_crlf_are_read():
    Path("asked.csv").write_bytes(b"\xef\xbb\xbf" + ASKED.replace("\n", "\r\n").encode())
    assert assign() == 0
    assert [row["hierarchical_label"] for row in read("out.csv")][:3] == ["church", "lake", ""]


@pytest.mark.parametrize(
    ("name", "text", "code", "message"),
    [
        ("asked.csv", "landmark_id,name\n1,a\n", 3, "asked.csv"),
        ("asked.csv", "landmark_id,category\n1,a\n1,b\n", 3, "asked.csv row 3"),
        ("asked.csv", "landmark_id,category\n,a\n", 3, "asked.csv row 2"),
        ("train.csv", "landmark_id,category,hierarchical_label\n1,a,chruch\n", 3, "did you mean church"),
        ("labels/words.csv", WORDS.replace("lake", "lakes"), 3, "words.csv row 3: there is no label 'lakes'"),
    ],
)
def test_wrong_input_is_one_sentence_and_writes_nothing(capsys, name, text, code, message):
    Path(name).write_text(text, encoding="utf-8")
    assert assign() == code
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not Path("out.csv").exists()


def test_what_is_missing_or_unclear_is_said(capsys):
    assert assign(asked="none.csv") == 2
    assert assign(train="none.csv") == 2
    assert assign(output="train.csv") == 1
    assert "would replace what is read" in capsys.readouterr().err
    assert cli.run(["labels", "assign", "--train", "train.csv", "--input", "asked.csv"]) == 1
    assert "not clear what to assign" in capsys.readouterr().err
    assert cli.run(["labels", "assign"]) == 1
    assert cli.run(["labels", "assign", "--out", "run", "--input", "asked.csv"]) == 1
