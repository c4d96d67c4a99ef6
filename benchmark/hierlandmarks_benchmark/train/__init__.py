"""Stage `train`: a release and a recipe → a model folder. Light; what trains is imported when it is called."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext
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


def train(release: str | Path, recipe: Recipe, folder: str | Path, *, restart: bool = False) -> dict[str, Any]:
    """Train a network and write model.safetensors, recipe.yaml, history.csv, curves.png, summary.json and events.

    Killed at any moment, the same call goes on from the last checkpoint in the folder; on a CPU the outcome is the same
    bit for bit. Under torchrun or `accelerate launch` every process makes this call.

    Args:
        release: release folder, name of one, or a public data set as `LAYOUT:FOLDER`.
        recipe: the whole run.
        folder: run folder, made where it is not there; TensorBoard reads folder/tensorboard while it runs.
        restart: leave a checkpoint in the folder aside and start again.

    Returns:
        The content of summary.json.

    Raises:
        UsageError: a recipe that does not fit the release or the memory, a checkpoint of another run, a folder in use,
            or a loss that is no number any more (its batch is then in the folder).
        MissingDataError: the release, pretrained weights or a tracker's package are not there.
        CorruptInputError: more than 1 % of the pictures cannot be read.

    >>> from hierlandmarks_benchmark.recipe import load_recipe
    >>> summary = train("mini", load_recipe("mini"), "out/run")  # doctest: +SKIP
    """
    from hierlandmarks_benchmark.train.folder import alone
    from hierlandmarks_benchmark.train.run import is_first, run

    with alone(Path(folder)) if is_first() else nullcontext():
        return run(release, recipe, Path(folder), restart=restart)


def _run(params: TrainParams, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    folder = folders["model"]
    working = folder.parent / ".model.training"  # stays when the run is killed, so that the next goes on from there
    train(inputs["release"], load_recipe(params.recipe, params.set), working)
    os.replace(working, folder)
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
