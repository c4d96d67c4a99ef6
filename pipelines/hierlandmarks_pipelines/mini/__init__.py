"""mini: about 120 real landmarks with drawn photos, in GLDv2's own format, so that all of the arrow runs offline.

The CSVs beside this module are the world; `README.md` says what in them is real. The photos are drawn by `draw.py`,
and Wikimedia's answers come from `answers.py` through the real mining client, so the archive that `mine` replays
holds exactly the requests it makes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from hierlandmarks import schema
from hierlandmarks.errors import UsageError
from hierlandmarks.resources import bundled
from hierlandmarks.stages import Inputs, Outputs, Stage
from hierlandmarks.tables import from_rows
from hierlandmarks_pipelines.mine import mine
from hierlandmarks_pipelines.mini.answers import TIME, Answers
from hierlandmarks_pipelines.mini.source import write_source
from hierlandmarks_pipelines.mini.world import FILES, World, read_world
from hierlandmarks_pipelines.run import run_recipe
from hierlandmarks_pipelines.wikimedia.archive import Archive
from hierlandmarks_pipelines.wikimedia.client import Client


@dataclass(frozen=True)
class MiniParams:
    """Settings of the stage.

    Attributes:
        seed: of everything drawn; equal seeds give equal bytes.
        size: side length of the photos in pixels, 32 to 512.
    """

    seed: int = 0
    size: int = 64

    def __post_init__(self) -> None:
        if not 32 <= self.size <= 512:
            raise UsageError("mini: size is out of range", got=self.size, expected="32 to 512")
        if self.seed < 0:
            raise UsageError("mini: seed is out of range", got=self.seed, expected="0 or more")


def write_world(root: Path, params: MiniParams) -> None:
    """Write the world into an empty folder: a GLDv2 source folder with the archive of Wikimedia's answers."""
    world = read_world()
    write_source(root, world.landmarks, params.seed, params.size)
    record_answers(root, world)


def record_answers(folder: Path, world: World) -> None:
    """Mine the world once, so that the archive in `folder` holds the answers to what mining asks."""
    with Archive(folder, write=True) as archive:
        mine(categories(world), Client(archive, Answers(world), now=lambda: TIME))


def categories(world: World) -> pa.Table:
    """The world's landmarks as a `schema.CATEGORIES` table."""
    rows = [
        {"space": space, "landmark_id": landmark_id, "category": landmark.category, "name": landmark.name}
        for landmark in world.landmarks
        for space, landmark_id in landmark.ids.items()
    ]
    return from_rows(rows, schema.CATEGORIES)


def build_release(folder: Path) -> None:
    """Build the release `mini` as its recipe says, and put it at `folder` when it is whole.

    Args:
        folder: where the release shall be; it must not hold anything.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as work:
        run_recipe(bundled("hierlandmarks_pipelines", "recipes", "mini.yaml"), work, until="export")
        os.replace(Path(work, "release"), folder)


def _run(params: MiniParams, inputs: Inputs, folders: Mapping[str, Path]) -> Outputs:
    write_world(folders["source"], params)
    return {}


STAGE = Stage(
    name="mini",
    about="drawing a small world of well-known landmarks",
    params=MiniParams,
    needs=(),
    makes=("source",),
    run=_run,
    reads=lambda _params: FILES,
)
