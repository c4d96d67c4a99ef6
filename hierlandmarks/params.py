"""Mappings (from YAML or the command line) to frozen dataclasses: an unknown key is an error naming the nearest."""

from __future__ import annotations

import dataclasses
import difflib
import os
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from hierlandmarks.errors import MissingDataError, UsageError

T = TypeVar("T")


def nearest(word: str, words: Iterable[str]) -> str:
    """The known word closest to a mistaken one, as advice for an error message.

    >>> nearest("lerning_rate", ["learning_rate", "epochs"])
    'did you mean learning_rate?'
    >>> nearest("zzz", ["b", "a"])
    'choose one of a, b'
    """
    words = sorted(words)
    if not words:
        return "it takes none"
    close = difflib.get_close_matches(word, words, n=1)
    return f"did you mean {close[0]}?" if close else f"choose one of {', '.join(words)}"


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A YAML file whose top is a mapping.

    Raises:
        MissingDataError: there is no such file.
        UsageError: it is no YAML, or its top is no mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"there is no recipe at {path}", do="check the path")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid YAML", got=str(error).replace("\n", " ")) from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} is no recipe", got=type(content).__name__, expected="a mapping of keys")
    return content


def from_mapping(cls: type[T], mapping: Mapping[str, Any], *, where: str, base: Path | None = None) -> T:
    """Build a frozen dataclass from a mapping, checking names and types.

    Args:
        cls: the dataclass; nested dataclasses, tuples, Optional and Path fields are understood.
        mapping: keys are field names.
        where: what the mapping is, for messages, such as `recipe.yaml: train`.
        base: folder that relative `Path` fields are resolved against.

    Raises:
        UsageError: an unknown key (naming the nearest), a missing key, or a value of the wrong type.
    """
    if not isinstance(mapping, Mapping):
        raise UsageError(f"{where} is no mapping", got=repr(mapping), expected="keys and values")
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for key in mapping:
        if key not in fields:
            raise UsageError(f"{where} has an unknown key {key!r}", do=nearest(str(key), fields))
    hints = typing.get_type_hints(cls)
    values = {key: _convert(value, hints[key], where=f"{where}.{key}", base=base) for key, value in mapping.items()}
    missing = [
        name
        for name, field in fields.items()
        if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UsageError(f"{where} lacks {', '.join(missing)}", do="add it")
    return cls(**values)


def to_mapping(params: Any) -> dict[str, Any]:
    """A dataclass as plain JSON-able values (paths as text)."""
    return typing.cast(dict[str, Any], _plain(dataclasses.asdict(params)))


def set_value(mapping: dict[str, Any], assignment: str) -> None:
    """Apply one `--set a.b=value` to a nested mapping in place; the value is read as YAML.

    >>> recipe = {"train": {"epochs": 3}}
    >>> set_value(recipe, "train.epochs=5"); recipe
    {'train': {'epochs': 5}}
    """
    name, equals, text = assignment.partition("=")
    if not equals:
        raise UsageError(f"--set {assignment} assigns nothing", expected="key=value")
    *parents, last = name.split(".")
    for parent in parents:
        mapping = mapping.setdefault(parent, {})
        if not isinstance(mapping, dict):
            raise UsageError(f"--set {name}: {parent} is a value, not a group of keys")
    mapping[last] = yaml.safe_load(text)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _convert(value: Any, hint: Any, *, where: str, base: Path | None) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        hint = next(a for a in arguments if a is not type(None))
        return _convert(value, hint, where=where, base=base)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else from_mapping(hint, value, where=where, base=base)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise UsageError(f"{where} has the wrong type", got=repr(value), expected="a list")
        return tuple(_convert(item, arguments[0], where=where, base=base) for item in value)
    if origin is dict or hint is Any:
        return value
    if hint is Path:
        path = Path(str(value)).expanduser()
        return path if path.is_absolute() or base is None else (base / path).resolve()
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
        try:
            return float(value)
        except ValueError:
            pass
    if isinstance(hint, type) and (not isinstance(value, hint) or (hint is int and isinstance(value, bool))):
        raise UsageError(f"{where} has the wrong type", got=repr(value), expected=hint.__name__)
    return value
