"""What a stage is, and how stages are found: the one shape that recipes, pipelines and benchmark share.

A stage is a pure function from tables, folders and parameters to tables and folders. It knows nothing of run
folders, skipping or manifests; `hierlandmarks run` gives it its inputs and puts its outputs in place. Stages register
under the entry-point group `hierlandmarks.stages`, so neither package above the library imports the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pyarrow as pa

from hierlandmarks.errors import UsageError
from hierlandmarks.params import nearest

GROUP = "hierlandmarks.stages"

Inputs = Mapping[str, Any]  # artifact name -> pa.Table for a table, Path for a folder
Outputs = Mapping[str, pa.Table]


def _nothing(_params: Any) -> tuple[Path, ...]:
    return ()


@dataclass(frozen=True)
class Stage:
    """One step of a recipe.

    Attributes:
        name: as recipes write it.
        about: what it does, a short phrase for the terminal.
        params: frozen dataclass of its settings; every field has a default or must stand in the recipe.
        needs: artifacts it takes (names of `schema.TABLES` or `schema.FOLDERS`).
        makes: artifacts it makes.
        run: `run(params, inputs, folders) -> tables`. `inputs` maps every name in `needs` to a checked `pa.Table`
            or to a folder. `folders` maps every folder in `makes` to an empty folder to write into, which is
            moved into place only when the stage succeeds. The tables in `makes` are returned.
        reads: files and folders from outside the run that the result depends on, given the parameters.
        optional: names of `needs` that may be absent from a recipe; they are then missing from `inputs`.
    """

    name: str
    about: str
    params: type
    needs: tuple[str, ...]
    makes: tuple[str, ...]
    run: Callable[[Any, Inputs, Mapping[str, Path]], Outputs]
    reads: Callable[[Any], tuple[Path, ...]] = _nothing
    optional: tuple[str, ...] = ()


def find_stage(name: str) -> Stage:
    """The registered stage of that name.

    Raises:
        UsageError: there is none; the message names the nearest.
    """
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        raise UsageError(f"there is no stage {name!r}", do=nearest(name, found))
    stage = found[name].load()
    if not isinstance(stage, Stage):
        raise UsageError(f"{found[name].value} is no Stage", got=type(stage).__name__)
    return stage
