"""The engine: order, skipping, atomic outputs, and what a person typed is never overwritten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import hierlandmarks_pipelines.run as engine
from hierlandmarks.errors import MissingDataError, UsageError
from hierlandmarks.schema import CATEGORIES
from hierlandmarks.stages import Stage
from hierlandmarks.tables import from_rows


@dataclass(frozen=True)
class Params:
    count: int = 1
    file: Path | None = None


RUNS: list[str] = []


def make(params: Params, inputs: Mapping[str, Any], folders: Mapping[str, Path]) -> dict[str, pa.Table]:
    RUNS.append("make")
    rows = [{"space": "train", "landmark_id": str(i), "category": "", "name": ""} for i in range(params.count)]
    return {"categories": from_rows(rows, CATEGORIES)}


def show(params: Params, inputs: Mapping[str, Any], folders: Mapping[str, Path]) -> dict[str, pa.Table]:
    RUNS.append("show")
    (folders["review"] / "review.csv").write_text(f"{inputs['categories'].num_rows}\n")
    if params.count < 0:
        raise UsageError("count is negative")
    return {}


STAGES = {
    "make": Stage("make", "makes", Params, (), ("categories",), make, lambda p: (p.file,) if p.file else ()),
    "show": Stage("show", "shows", Params, ("categories",), ("review",), show),
}


@pytest.fixture(autouse=True)
def _toy_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_stage", STAGES.__getitem__)
    RUNS.clear()


def recipe(folder: Path, text: str = "stages:\n- make: {count: 2}\n- show:\n") -> Path:
    path = folder / "toy.yaml"
    path.write_text(text)
    return path


def test_runs_in_order_then_skips(tmp_path: Path) -> None:
    path, out = recipe(tmp_path), tmp_path / "out"
    assert [r.ran for r in engine.run_recipe(path, out)] == [True, True]
    assert (out / "review" / "review.csv").read_text() == "2\n"
    assert [r.ran for r in engine.run_recipe(path, out)] == [False, False]
    assert RUNS == ["make", "show"]
    assert [r.ran for r in engine.run_recipe(path, out, force=True)] == [True, True]


def test_a_changed_parameter_runs_what_depends_on_it(tmp_path: Path) -> None:
    path, out = recipe(tmp_path), tmp_path / "out"
    engine.run_recipe(path, out)
    assert [r.ran for r in engine.run_recipe(path, out, overrides=["show.count=5"])] == [False, True]
    assert [r.ran for r in engine.run_recipe(path, out, overrides=["make.count=3"])] == [True, True]
    assert (out / "review" / "review.csv").read_text() == "3\n"


def test_a_changed_outside_file_runs_again(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("1")
    path, out = recipe(tmp_path, "stages:\n- make: {file: data}\n"), tmp_path / "out"
    engine.run_recipe(path, out)
    assert not engine.run_recipe(path, out)[0].ran
    (tmp_path / "data").write_text("22")
    assert engine.run_recipe(path, out)[0].ran


def test_a_lost_output_is_made_again(tmp_path: Path) -> None:
    path, out = recipe(tmp_path), tmp_path / "out"
    engine.run_recipe(path, out)
    (out / "tables" / "categories.parquet").unlink()
    assert [r.ran for r in engine.run_recipe(path, out)] == [True, False]


def test_what_a_person_typed_is_kept(tmp_path: Path) -> None:
    path, out = recipe(tmp_path), tmp_path / "out"
    engine.run_recipe(path, out)
    (out / "review" / "review.csv").write_text("a decision\n")
    engine.run_recipe(path, out)
    assert (out / "review" / "review.csv").read_text() == "2\n"
    assert (out / "review.edited-1" / "review.csv").read_text() == "a decision\n"


def test_a_failing_stage_leaves_the_old_output(tmp_path: Path) -> None:
    path, out = recipe(tmp_path), tmp_path / "out"
    engine.run_recipe(path, out)
    with pytest.raises(UsageError, match="negative"):
        engine.run_recipe(path, out, overrides=["show.count=-1"])
    assert (out / "review" / "review.csv").read_text() == "2\n"
    assert sorted(p.name for p in out.iterdir()) == [".stages", "review", "tables"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stages:\n- show:\n", "the stage show needs categories, which no stage before it makes"),
        ("stages:\n- make: {cont: 1}\n", "unknown key 'cont': did you mean count?"),
        ("stages:\n- make:\n- make:\n", "names the stage make twice"),
        ("stages: []\n", "has no stages"),
        ("stage:\n- make:\n", "unknown key 'stage': did you mean stages?"),
        ("stages:\n- {make: {}, show: {}}\n", "is not readable"),
    ],
)
def test_a_bad_recipe_is_refused_before_anything_runs(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        engine.run_recipe(recipe(tmp_path, text), tmp_path / "out")
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_until_and_set_are_checked(tmp_path: Path) -> None:
    path = recipe(tmp_path)
    assert [r.stage for r in engine.run_recipe(path, tmp_path / "out", until="make")] == ["make"]
    with pytest.raises(UsageError, match="no stage 'mak': did you mean make"):
        engine.run_recipe(path, tmp_path / "out", until="mak")
    with pytest.raises(UsageError, match="no stage 'shw': did you mean show"):
        engine.run_recipe(path, tmp_path / "out", overrides=["shw.count=1"])
    with pytest.raises(MissingDataError, match="there is no recipe nowhere"):
        engine.find_recipe(Path("nowhere"))


def test_a_stage_alone_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"show needs .*categories\.parquet, which is not there"):
        engine.run_stage(STAGES["show"], Params(), tmp_path)
