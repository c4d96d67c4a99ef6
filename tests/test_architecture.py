"""The house keeps its shape: layers, declared tables, small modules, documented public functions."""

from __future__ import annotations

import ast
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from hierlandmarks.schema import FOLDERS, TABLES
from hierlandmarks.stages import Stage

PACKAGES = ("hierlandmarks", "pipelines/hierlandmarks_pipelines", "benchmark/hierlandmarks_benchmark")


def modules(root: Path) -> list[Path]:
    return [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]


def test_layers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlinter.cli import lint_imports

    monkeypatch.chdir(root)
    assert lint_imports(no_cache=True) == 0


def test_stages_meet_at_the_schema() -> None:
    stages = [point.load() for point in entry_points(group="hierlandmarks.stages")]
    for stage in stages:
        assert isinstance(stage, Stage)
        for name in (*stage.needs, *stage.makes):
            assert (name in TABLES) != (name in FOLDERS), f"{stage.name}: {name} is declared nowhere"
    made = {name for stage in stages for name in stage.makes}
    assert {name for stage in stages for name in stage.needs} <= made


def test_stage_parameters_are_frozen_dataclasses() -> None:
    for point in entry_points(group="hierlandmarks.stages"):
        params = point.load().params
        assert params.__dataclass_params__.frozen, f"{point.name}: parameters must not change under a running stage"


def test_modules_say_their_job_and_stay_small(root: Path) -> None:
    for path in modules(root):
        source = path.read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(source)), f"{path} does not say its job"
        assert source.count("\n") <= 400, f"{path} does more than one thing"


def test_no_module_asserts_its_users(root: Path) -> None:
    """A message on every raise of ours, and none of Python's bare ones for what a user can cause."""
    for path in modules(root):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                assert node.exc.args or node.exc.keywords, f"{path}:{node.lineno} raises without a message"
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{path}:{node.lineno} catches everything"


def test_nothing_points_at_a_machine(root: Path) -> None:
    home = str(root)
    for path in modules(root):
        assert home not in path.read_text(encoding="utf-8"), f"{path} names a path of this machine"
