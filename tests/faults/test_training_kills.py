"""kill -9 in the middle of epochs, again and again: the run that goes on ends as if nobody had done it, bit for bit."""

from __future__ import annotations

import csv
import os
import random
import signal
from pathlib import Path

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hierlandmarks.errors import CorruptInputError, UsageError
from hierlandmarks.params import to_mapping
from hierlandmarks_benchmark.recipe import load_recipe
from hierlandmarks_benchmark.train import train
from hierlandmarks_benchmark.train.checkpoint import CHECKPOINT, remove_checkpoint, write_checkpoint
from hierlandmarks_benchmark.train.folder import alone
from tests.coloured import release as write_release
from tests.faults.test_kills import victims
from tests.trainable import transformer

TRAIN = """
import os
from pathlib import Path
os.environ["ACCELERATE_USE_CPU"] = "true"
import torch
torch.set_num_threads(1)
import torch.utils.tensorboard, accelerate, transformers.models.vit.modeling_vit, matplotlib.figure
import hierlandmarks_benchmark.train.run, hierlandmarks_benchmark.losses
from hierlandmarks_benchmark.recipe import load_recipe
from hierlandmarks_benchmark.train import train
def work(release, recipe, folder):
    train(release, load_recipe(recipe), folder)
"""
# Dropout, a memory, a running mean, chunks and clipping: everything that has a state.
SETTINGS = (
    "epochs=4",
    "sampler.batch=16",
    "sampler.chunk=5",
    "optimiser.ema=0.9",
    "optimiser.clip=1.0",
    "memory=24",
    "checkpoint.steps=2",
    "data.validate_every=2",
    "augmentation.flip=0.5",
    "data.in_memory=never",
    "data.workers=0",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills")
    write_release(folder, {"train": (range(10), 16), "validation": (range(10, 16), 4)})
    (folder / "plain.yaml").write_text(yaml.safe_dump(to_mapping(transformer(dropout=0.2))))
    recipe = load_recipe(str(folder / "plain.yaml"), SETTINGS)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(to_mapping(recipe)))
    return folder


def losses(folder: Path) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder / "tensorboard" / "vit"), size_guidance={"scalars": 0}).Reload()
    return [(event.step, event.value) for event in events.Scalars("loss")]


def history(folder: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader((folder / "history.csv").open()))
    return [{name: row[name] for name in row if name not in ("images_per_second", "waiting")} for row in rows]


@pytest.mark.slow
def test_the_loss_curve_is_the_same_bit_for_bit(world: Path) -> None:
    moment, killed = random.Random(4), 0
    quiet, disturbed = world / "quiet", world / "disturbed"
    with victims(TRAIN) as process:
        assert process.run(f"{world / 'release'} {world / 'recipe.yaml'} {quiet}") == 0
        while True:
            waits, seen = moment.randrange(1, 6), set()

            def is_time() -> bool:
                try:
                    seen.add((disturbed / CHECKPOINT).stat().st_mtime_ns)  # noqa: B023
                except FileNotFoundError:
                    return False
                return len(seen) > waits  # noqa: B023

            status = process.run(f"{world / 'release'} {world / 'recipe.yaml'} {disturbed}", is_time)
            if status == 0:
                break
            assert os.WIFSIGNALED(status)
            assert os.WTERMSIG(status) == signal.SIGKILL
            killed += 1
    assert killed >= 5
    assert losses(disturbed) == losses(quiet)
    assert len(losses(quiet)) == 40
    assert history(disturbed) == history(quiet)
    assert (disturbed / "model.safetensors").read_bytes() == (quiet / "model.safetensors").read_bytes()
    assert not list(disturbed.glob("*checkpoint*"))


@pytest.fixture
def stopped(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder with a checkpoint in it."""
    from hierlandmarks_benchmark.train import loop

    def stop(*args: object) -> float:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_worth", stop)
        with pytest.raises(KeyboardInterrupt):
            train(world / "release", load_recipe(str(world / "recipe.yaml")), tmp_path / "run")
    return tmp_path / "run"


def test_a_checkpoint_of_another_recipe_is_refused_naming_the_keys(world: Path, stopped: Path) -> None:
    other = load_recipe(str(world / "recipe.yaml"), ["optimiser.learning_rate=0.5", "seed=9", "data.workers=1"])
    with pytest.raises(UsageError) as caught:
        train(world / "release", other, stopped)
    message = str(caught.value)
    assert "recipe.optimiser.learning_rate was 0.001, is 0.5; recipe.seed was 5, is 9" in message
    assert "workers" not in message
    assert "--restart" in message
    assert train(world / "release", other, stopped, restart=True)["recipe"]["seed"] == 9


def test_a_checkpoint_of_other_data_is_refused(stopped: Path, world: Path, tmp_path: Path) -> None:
    other = write_release(tmp_path, {"train": (range(10), 15)})
    with pytest.raises(UsageError, match=r"data.content_hash was .*data.images was 160, is 150"):
        train(other, load_recipe(str(world / "recipe.yaml")), stopped)


def test_what_a_kill_left_of_a_checkpoint_goes(tmp_path: Path) -> None:
    """safetensors writes under a temporary name of its own; a kill leaves that name."""
    left = tmp_path / ".checkpoint.part" / ".tmpA1b2C3"
    left.parent.mkdir()
    left.write_bytes(b"half")
    write_checkpoint(tmp_path, {"network.weight": torch.ones(2)}, {"done": 1})
    assert [path.name for path in tmp_path.rglob("*")] == [CHECKPOINT]
    left.parent.mkdir()
    left.write_bytes(b"half")
    remove_checkpoint(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_checkpoint_is_refused(world: Path, stopped: Path) -> None:
    path = stopped / CHECKPOINT
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CorruptInputError, match="is no checkpoint"):
        train(world / "release", load_recipe(str(world / "recipe.yaml")), stopped)


def test_two_runs_in_one_folder_are_refused(world: Path, tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(UsageError, match="another process is training in"):
        train(world / "release", load_recipe(str(world / "recipe.yaml")), tmp_path)
