"""The quality report: numbers against hand-made answers, pictures the same bytes, and what is not known is said."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from hierlandmarks.errors import TableError, UsageError
from hierlandmarks.hierarchy import Hierarchy
from hierlandmarks_pipelines.build import build
from hierlandmarks_pipelines.quality import agreed, balance, quality, read_quality, shape
from hierlandmarks_pipelines.qualitycard import section, text, write_quality
from tests.labelworld import CHURCH, LAKE, assigned, assignments

FRAME = pd.DataFrame(
    {
        "space": ["train"] * 4 + ["index"],
        "landmark_id": ["1", "2", "3", "4", "1"],
        "label": ["church", "church", "lake", "", "lake"],
        "confidence": [0.9, 0.9, 0.5, 0.0, 0.7],
        "source": ["decision", "name", "name", "none", "decision"],
    }
)


@pytest.fixture
def published(tmp_path):
    path = tmp_path / "train_labels.csv"
    path.write_text("landmark_id,hierarchical_label\n1,church\n2,lake\n3,lake\n4,lake\n9,lake\n7,\n")
    return path


def test_coverage_and_agreement_keep_the_spaces_apart(published):
    report = quality(FRAME, published=published)
    assert report["coverage"]["spaces"]["train"] == {"landmarks": 4, "labelled": 3}
    assert report["coverage"]["sources"] == {"decision": 2, "name": 2}
    agreement = report["agreement"]
    assert (agreement["landmarks"], agreement["same"]) == (3, 2)  # index 1 is another place; train 4 has no label
    assert agreement["confusions"] == [["church", "church", 1], ["lake", "church", 1], ["lake", "lake", 1]]
    assert agreement["labels"][1] == {"label": "lake", "published": 2, "assigned": 1, "same": 1}
    calibration = report["calibration"]
    assert [b["landmarks"] for b in calibration["bins"]] == [1, 2]
    assert calibration["error"] == pytest.approx((0.5 * 1 + 0.4 * 2) / 3)


def test_balance_of_equal_labels_is_their_number():
    equal = balance({"a": 5, "b": 5, "c": 5, "d": 5})
    assert (equal["effective"], equal["evenness"], equal["top_share"]) == (4, 1, 1)
    skewed = balance({"a": 97, "b": 1, "c": 1, "d": 1})
    p = np.array([0.97, 0.01, 0.01, 0.01])
    assert skewed["effective"] == pytest.approx(np.exp(-(p * np.log(p)).sum()), abs=1e-4)
    assert balance({}) == {"labels": 0}


def test_depth_and_branching():
    built = build(assignments(*(assigned(n, CHURCH) for n in range(3)), assigned(3, LAKE)))
    found = shape(Hierarchy.from_table(built.nodes))
    assert found["depth"] == {"3": 4}
    assert found["branching"]["label"] == {"nodes": 2, "fewest": 1, "median": 2, "most": 3, "mean": 2}


def test_pictures_and_report_are_the_same_bytes(tmp_path, published):
    report = quality(FRAME, published=published)
    names = write_quality(tmp_path / "a", report)
    assert write_quality(tmp_path / "b", report) == names == ["quality.json", "confusion.svg", "calibration.svg"]
    assert [(tmp_path / "a" / n).read_bytes() for n in names] == [(tmp_path / "b" / n).read_bytes() for n in names]
    assert (tmp_path / "a/confusion.svg").read_text().count("<title>") == 3
    assert "lake → church: 1" in (tmp_path / "a/confusion.svg").read_text()
    assert "| lake | 2 | 1 | 1 |" in section(report)
    assert "     1  lake -> church" in text(report)


def test_what_is_not_known_is_said_and_not_drawn(tmp_path):
    report = quality(FRAME)
    assert write_quality(tmp_path / "a", report) == ["quality.json"]
    assert "not compared with published labels" in section(report)
    assert "not measured" in section(report)
    assert "svg" not in section(report)
    assert json.loads((tmp_path / "a/quality.json").read_text()) == report


def test_no_labels_at_all_are_no_accident(published):
    report = quality(FRAME.assign(label=""), published=published)
    assert report["balance"] == {"labels": 0}
    assert report["calibration"] is None
    assert "no landmark has a label both here and in train_labels.csv" in text(report)
    assert agreed([], [])["landmarks"] == 0


def test_an_assigned_csv_is_read_and_a_wrong_confidence_refused(tmp_path, published):
    path = tmp_path / "assigned.csv"
    path.write_text("landmark_id,hierarchical_label,confidence,source\n1,church,0.9,name\n2,,,none\n")
    report = read_quality(path, published)
    assert (report["agreement"]["landmarks"], report["agreement"]["same"]) == (1, 1)
    path.write_text("landmark_id,hierarchical_label,confidence\n1,church,1.9\n")
    with pytest.raises(TableError, match=r"row 2: confidence is wrong; got '1.9'"):
        read_quality(path, None)
    path.write_text("landmark_id,hierarchical_label,confidence\n1,church,1\n")
    with pytest.raises(UsageError, match="with themselves"):
        read_quality(path, path)


def test_a_curve_measured_elsewhere_is_drawn_instead(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("from,to,landmarks,confidence,right\n0,0.5,0,,\n0.5,1,4,0.9,0.75\n")
    report = quality(FRAME, calibration=path)
    assert report["calibration"] == {
        "landmarks": 4,
        "error": 0.15,
        "bins": [{"landmarks": 4, "confidence": 0.9, "right": 0.75}],
    }
    assert "calibration.svg" in write_quality(tmp_path / "a", report)
    path.write_text("landmarks,confidence,right\n4,high,0.75\n")
    with pytest.raises(TableError, match="is no calibration curve"):
        quality(FRAME, calibration=path)
