"""Run a recipe: stages in order, skipping what is up to date, putting every output in place atomically.

A run folder holds `tables/NAME.parquet`, one folder for every folder artifact, and `.stages/NAME.json`, which records
what each stage was made from. A stage runs again when its parameters, its inputs, the files it reads or the code
changed, or when one of its outputs is gone. An output that somebody edited by hand is moved aside, never overwritten.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa

from hierlandmarks import __version__
from hierlandmarks.errors import MissingDataError, UsageError
from hierlandmarks.params import from_mapping, nearest, read_yaml, set_value, to_mapping
from hierlandmarks.progress import say
from hierlandmarks.resources import bundled
from hierlandmarks.schema import FOLDERS, TABLES
from hierlandmarks.stages import Stage, find_stage
from hierlandmarks.tables import atomic_folder, file_sha256, read_json, read_table, write_json, write_table


@dataclass(frozen=True)
class Recipe:
    """A named list of stages with their parameters."""

    name: str
    title: str
    steps: tuple[tuple[Stage, Any], ...]


@dataclass(frozen=True)
class StepResult:
    """What became of one stage: whether it ran or was up to date, and the seconds it took."""

    stage: str
    ran: bool
    seconds: float


def load_recipe(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and check it whole before anything runs.

    Args:
        path: YAML with `name`, `title` and `stages`, a list of one-key mappings `STAGE: {parameters}`.
        overrides: `STAGE.key=value`, applied over the file.

    Raises:
        MissingDataError: there is no such file.
        UsageError: an unknown key, stage or parameter (naming the nearest), a stage named twice, or a stage
            whose input no earlier stage makes.
    """
    path = Path(path)
    content = read_yaml(path)
    for key in content:
        if key not in ("name", "title", "stages"):
            raise UsageError(f"{path} has an unknown key {key!r}", do=nearest(str(key), ("name", "title", "stages")))
    settings: dict[str, Any] = {}
    for item in content.get("stages") or ():
        name, value = next(iter(item.items())) if isinstance(item, dict) and len(item) == 1 else (item, {})
        if not isinstance(name, str):
            raise UsageError(f"{path}: a stage is not readable", got=repr(item), expected="`- NAME: {parameters}`")
        if name in settings:
            raise UsageError(f"{path} names the stage {name} twice", do="remove one")
        settings[name] = value if value is not None else {}
    if not settings:
        raise UsageError(f"{path} has no stages", expected="a list under `stages:`")
    for override in overrides:
        name = override.partition(".")[0].partition("=")[0]
        if name not in settings:
            raise UsageError(f"--set {override}: the recipe has no stage {name!r}", do=nearest(name, settings))
        set_value(settings, override)
    steps = []
    for name, mapping in settings.items():
        stage = find_stage(name)
        params: Any = from_mapping(stage.params, mapping, where=f"{path}: {name}", base=path.resolve().parent)
        steps.append((stage, params))
    _check_wiring(path, [stage for stage, _ in steps])
    return Recipe(str(content.get("name", path.stem)), str(content.get("title", "")), tuple(steps))


def find_recipe(recipe: Path) -> Path:
    """A recipe file: the path itself, or the bundled recipe of that name.

    Raises:
        MissingDataError: it is neither.
    """
    if recipe.is_file():
        return recipe
    folder = bundled("hierlandmarks_pipelines", "recipes")
    if recipe.name == str(recipe) and (found := folder / f"{recipe.stem}.yaml").is_file():
        return found
    known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
    raise MissingDataError(f"there is no recipe {recipe}", expected=f"a YAML file, or one of {known}")


def run_recipe(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    until: str | None = None,
    overrides: Sequence[str] = (),
    force: bool = False,
) -> list[StepResult]:
    """Run a recipe's stages in order into the folder `out`.

    Args:
        until: the last stage to run; all when None.
        overrides: `STAGE.key=value`, applied over the file.
        force: run every stage, up to date or not.

    Returns:
        One result for every stage, in order.

    Raises:
        UsageError: as `load_recipe`, or no stage named `until`.
        HierlandmarksError: whatever a stage refuses; earlier outputs stay, nothing is half-written.
    """
    recipe, out = load_recipe(path, overrides), Path(out)
    names = [stage.name for stage, _ in recipe.steps]
    if until is not None and until not in names:
        raise UsageError(f"the recipe {recipe.name} has no stage {until!r}", do=nearest(until, names))
    steps = recipe.steps if until is None else recipe.steps[: names.index(until) + 1]
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file", expected="a folder to write into")
    say(f"{recipe.name}: {recipe.title}" if recipe.title else recipe.name)
    results = []
    for number, (stage, params) in enumerate(steps, start=1):
        say(f"[{number:>2}/{len(steps)}] {stage.name:<12} {stage.about}")
        start = time.monotonic()
        ran = run_stage(stage, params, out, force=force)
        seconds = time.monotonic() - start
        say(f"{'':>7} {'':<12} {f'done in {seconds:.1f} s' if ran else 'up to date'}")
        results.append(StepResult(stage.name, ran, round(seconds, 3)))
    return results


def run_stage(stage: Stage, params: object, out: Path, *, force: bool = False) -> bool:
    """Run one stage on a run folder unless it is up to date.

    Returns:
        Whether it ran.

    Raises:
        MissingDataError: an input is not in the folder; the message names the stage that makes it.
        HierlandmarksError: whatever the stage refuses; its old outputs stay as they were.
    """
    record_path = out / ".stages" / f"{stage.name}.json"
    record = read_json(record_path) if record_path.is_file() else {}
    needs = [name for name in stage.needs if _place(out, name).exists() or name not in stage.optional]
    for name in needs:
        if not _place(out, name).exists():
            raise MissingDataError(f"{stage.name} needs {_place(out, name)}, which is not there", do=_maker(name))
    fingerprint = _fingerprint(stage, params, {name: _signature(_place(out, name)) for name in needs})
    if not force and record.get("fingerprint") == fingerprint and _intact(out, stage, record):
        return False
    inputs = {n: read_table(_place(out, n), TABLES[n]) if n in TABLES else _place(out, n) for n in needs}
    with ExitStack() as stack:
        folders: dict[str, Path] = {}
        for name in stage.makes:
            if name in FOLDERS:
                _keep_edited(out, name, record)
                folders[name] = stack.enter_context(atomic_folder(_place(out, name)))
        tables = stage.run(params, inputs, folders)
        _check_made(stage, tables)
        made_by = {"stage": stage.name, "params": to_mapping(params), "version": __version__, "inputs": needs}
        record_path.unlink(missing_ok=True)  # from here on the old record would be a lie
        for name, table in tables.items():
            write_table(_place(out, name), table, TABLES[name], made_by)
    outputs = {name: _signature(_place(out, name)) for name in stage.makes}
    write_json(record_path, {"fingerprint": fingerprint, "outputs": outputs, "made_by": made_by})
    return True


def _place(out: Path, name: str) -> Path:
    return out / "tables" / f"{name}.parquet" if name in TABLES else out / name


def _maker(name: str) -> str:
    return f"run the recipe from the start, or the stage that makes {name}"


def _check_wiring(path: Path, stages: Sequence[Stage]) -> None:
    made: set[str] = set()
    for stage in stages:
        for name in stage.needs:
            if name not in made and name not in stage.optional:
                raise UsageError(f"{path}: the stage {stage.name} needs {name}, which no stage before it makes")
        made.update(stage.makes)


def _check_made(stage: Stage, tables: Mapping[str, pa.Table]) -> None:
    expected = {name for name in stage.makes if name in TABLES}
    assert set(tables) == expected, f"{stage.name} returned {sorted(tables)}, declared {sorted(expected)}"


def _intact(out: Path, stage: Stage, record: Mapping[str, Any]) -> bool:
    recorded = record.get("outputs", {})
    return all(_place(out, n).exists() and _signature(_place(out, n)) == recorded.get(n) for n in stage.makes)


def _keep_edited(out: Path, name: str, record: Mapping[str, Any]) -> None:
    """Move a folder that changed since it was made out of the way: what a person typed is never lost."""
    place, recorded = _place(out, name), record.get("outputs", {}).get(name)
    if not place.exists() or not any(place.iterdir()) or _signature(place) == recorded:
        return
    number = next(i for i in range(1, 10_000) if not place.with_name(f"{name}.edited-{i}").exists())
    kept = place.with_name(f"{name}.edited-{number}")
    os.replace(place, kept)
    say(f"        {place} was changed by hand; kept as {kept}")


def _fingerprint(stage: Stage, params: object, inputs: Mapping[str, str]) -> str:
    facts = {
        "stage": stage.name,
        "params": to_mapping(params),
        "inputs": dict(inputs),
        "reads": {str(path): _outside(path) for path in stage.reads(params)},
        "code": _code(stage.run),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _signature(place: Path) -> str:
    """A hash of a table's or a folder's bytes."""
    if place.is_file():
        return file_sha256(place)
    files = sorted(path for path in place.rglob("*") if path.is_file())
    lines = (f"{path.relative_to(place).as_posix()}\0{file_sha256(path)}" for path in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _outside(path: Path) -> str:
    """A cheap hash for data outside the run folder, which may be half a terabyte: names, sizes and times."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    stats = ((file.relative_to(path).as_posix(), file.stat()) for file in files)
    return hashlib.sha256(repr([(name, s.st_size, s.st_mtime_ns) for name, s in stats]).encode()).hexdigest()


def _code(function: Callable[..., Any]) -> str:
    """A hash of the code a stage depends on: the library and the stage's own package."""
    return hashlib.sha256(
        "".join(map(_package_hash, ("hierlandmarks", function.__module__.partition(".")[0]))).encode()
    ).hexdigest()


@cache
def _package_hash(package: str) -> str:
    spec = find_spec(package)
    digest = hashlib.sha256()
    for root in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(root).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
