"""Recipes become frozen dataclasses; a slip in a key or a value is one clear sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hierlandmarks.errors import MissingDataError, UsageError
from hierlandmarks.params import from_mapping, read_yaml, set_value, to_mapping


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1


@dataclass(frozen=True)
class Outer:
    epochs: int
    folder: Path | None = None
    inner: Inner = field(default_factory=Inner)
    parts: tuple[Inner, ...] = ()
    names: tuple[str, ...] = ()


def build(mapping: dict[str, Any], base: Path | None = None) -> Outer:
    return from_mapping(Outer, mapping, where="recipe.yaml: train", base=base)


def test_nested_values_are_converted() -> None:
    outer = build(
        {"epochs": 2, "folder": "data", "inner": {"rate": 1}, "parts": [{"rate": "1e-3"}], "names": ["a"]},
        Path("/base"),
    )
    assert outer == Outer(2, Path("/base/data"), Inner(1.0), (Inner(0.001),), ("a",))
    assert from_mapping(Outer, to_mapping(outer), where="again") == outer


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"epoch": 1}, "unknown key 'epoch': did you mean epochs?"),
        ({"epochs": 1, "inner": {"rat": 1}}, "train.inner has an unknown key 'rat': did you mean rate?"),
        ({}, "lacks epochs"),
        ({"epochs": "three"}, "train.epochs has the wrong type; got 'three', expected int"),
        ({"epochs": True}, "expected int"),
        ({"epochs": 1, "names": "a"}, "expected a list"),
        ({"epochs": 1, "inner": 3}, "train.inner is no mapping"),
    ],
)
def test_slips_are_named(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        build(mapping)
    assert message in str(caught.value)


def test_set_value() -> None:
    recipe: dict[str, Any] = {"train": {"epochs": 1}}
    set_value(recipe, "train.inner.rate=0.5")
    assert recipe == {"train": {"epochs": 1, "inner": {"rate": 0.5}}}
    with pytest.raises(UsageError, match="assigns nothing"):
        set_value(recipe, "train.epochs")
    with pytest.raises(UsageError, match="epochs is a value"):
        set_value(recipe, "train.epochs.x=1")


def test_read_yaml(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="there is no recipe"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(UsageError, match="not valid YAML"):
        read_yaml(tmp_path / "bad.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff")
    with pytest.raises(UsageError, match="not valid YAML"):
        read_yaml(tmp_path / "latin.yaml")
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(UsageError, match="expected a mapping"):
        read_yaml(tmp_path / "list.yaml")
