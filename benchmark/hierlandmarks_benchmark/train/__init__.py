"""Stage `train`: a release and a recipe → a model folder. Light; what trains is imported when it is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks_benchmark.recipe import Recipe, load_recipe, recipe_path


@dataclass(frozen=True)
class TrainParams:
    """Settings of the stage.

    Attributes:
        recipe: name of a recipe that ships with the benchmark, or the path of a file ending in .yaml.
        set: `key=value` assignments over it.
    """

    recipe: str
    set: tuple[str, ...] = ()


def train(release: str | Path, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Train a network and write model.safetensors, recipe.yaml, history.csv, curves.png and summary.json.

    Args:
        release: release folder, or name of one.
        recipe: the whole run.
        folder: existing folder to write into.

    Returns:
        The content of summary.json.

    Raises:
        UsageError: a recipe that does not fit the release, or a loss that is no number any more.
        MissingDataError: the release or pretrained weights are not there.
        CorruptInputError: more than 1 % of the pictures cannot be read.
    """
    from hierlandmarks_benchmark.train.run import run

    return run(release, recipe, folder)


def _run(params: TrainParams, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    train(inputs["release"], load_recipe(params.recipe, params.set), folders["model"])
    return {}


STAGE = Stage(
    name="train",
    about="train a network",
    params=TrainParams,
    needs=("release",),
    makes=("model",),
    run=_run,
    reads=lambda params: (recipe_path(params.recipe),),
)
