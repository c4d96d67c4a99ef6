"""The training loop: pictures and labels in, a trained network and its history out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hierlandmarks.errors import UsageError
from hierlandmarks.params import to_mapping
from hierlandmarks.schema import LEVELS
from hierlandmarks_benchmark.images import augment, draws
from hierlandmarks_benchmark.loading import Clock
from hierlandmarks_benchmark.models import Network, build_network
from hierlandmarks_benchmark.objective import Objective, compact
from hierlandmarks_benchmark.recipe import Recipe
from hierlandmarks_benchmark.samplers import Step, check, epoch_length, plan
from hierlandmarks_benchmark.train.backward import Learner
from hierlandmarks_benchmark.train.faults import advice_on_memory, keep_batch, not_a_number
from hierlandmarks_benchmark.train.journal import EVENTS, Journal, Record, check_trackers
from hierlandmarks_benchmark.train.optimisation import average_of, build_optimiser, set_learning_rates
from hierlandmarks_benchmark.train.state import State
from hierlandmarks_benchmark.train.team import Team

Ints = NDArray[np.int64]
Look = Callable[[Network], float]


class Source(Protocol):
    """Where pictures come from: see `hierlandmarks_benchmark.loading`."""

    rows: Ints
    clock: Clock

    def feed(self, batches: Any) -> Any:
        """Rows of batches in; of each batch the readable rows, and their pictures, out."""


@dataclass(frozen=True)
class Data:
    """What there is to learn from.

    Attributes:
        pictures: where they come from.
        labels: N × L codes, fine → coarse, of `pictures.rows`; every landmark ≥ 0.
        ids: of the pictures, for whoever looks into a batch.
        levels: names of the label columns.
        about: what a checkpoint has to agree with besides the recipe.
    """

    pictures: Source
    labels: Ints
    ids: Sequence[str]
    levels: Sequence[str] = LEVELS
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """What training leaves: the network on the CPU, one record an epoch, the device, and the number of processes."""

    network: Network
    history: list[Record]
    device: str
    processes: int


def fit(data: Data, recipe: Recipe, folder: Path | None = None, look: Look | None = None) -> Trained:
    """Train a recipe's network, from where the folder's checkpoint left off or from the start.

    On a CPU with the same number of threads and processes the same arguments give the same weights, bit for bit,
    however often the run was killed in between. The global random state is left as it was.

    Args:
        data: what to learn from.
        recipe: the run.
        folder: where checkpoints, events and the batch of a loss that is no number go; None keeps nothing.
        look: what a network is worth (H-AP on validation), asked every `data.validate_every` epochs and at the end, in
            every process.

    Raises:
        UsageError: too few landmarks for a batch, a name that is unknown, a checkpoint of another run, a loss that is
            no number any more, or too little memory.
    """
    accelerator = _accelerator(recipe, folder)
    with torch.random.fork_rng(devices=[accelerator.device] if accelerator.device.type == "cuda" else []):
        torch.manual_seed(recipe.seed + 1)  # another stream than the one the network's weights come from
        return _fit(data, recipe, folder, look, accelerator)


def _fit(data: Data, recipe: Recipe, folder: Path | None, look: Look | None, accelerator: Any) -> Trained:
    team, device, labels = Team.found(), accelerator.device, compact(data.labels)
    check(labels, recipe.sampler, data.levels)
    length = epoch_length(labels, recipe.sampler)
    network = team.share_statistics(build_network(recipe).to(device))
    objective = Objective(recipe.loss, labels, network.dim, recipe.head, recipe.memory).to(device)
    optimiser = accelerator.prepare(build_optimiser(network, objective, recipe))
    average = average_of(network, recipe.optimiser.ema) if recipe.optimiser.ema else None
    kept = cast(Network, average.module) if average else network
    learner, journal = Learner(network, objective, accelerator, team), Journal(recipe, length, accelerator)
    state = State(learner, optimiser, average, journal, {"recipe": to_mapping(recipe), "data": dict(data.about)})
    if team.rank:  # dropout differs between processes, what they start from does not
        torch.manual_seed(recipe.seed + 1 + 1_000_003 * team.rank)
    done = state.load(folder) if folder else 0
    ahead, steps = itertools.tee(plan(labels, recipe, data.levels, done))
    fed = data.pictures.feed(data.pictures.rows[team.share(step.rows)] for step in ahead)
    codes = torch.from_numpy(labels).to(device)
    with closing(journal):
        journal.open(folder, done)
        for step, (rows, pixels) in zip(steps, fed, strict=False):
            mine, random = _readable(step, rows, data.pictures.rows, recipe.seed, team)
            everyone = team.collect(mine, device)

            def view(part: slice, pixels: Tensor = pixels, random: Tensor = random) -> Tensor:
                return augment(
                    pixels[part].to(device, non_blocking=True), recipe.augmentation, recipe.data.size, random[part]
                )

            network.train()
            share = set_learning_rates(optimiser, recipe.schedule, step.number, length, recipe.epochs)
            optimiser.zero_grad()
            with advice_on_memory(recipe, len(mine)):
                loss, terms = learner.backward(
                    view, codes[np.concatenate(everyone)], [len(own) for own in everyone], recipe.sampler.chunk
                )
            if not math.isfinite(loss):
                tensors = {"pictures": pixels, "labels": torch.from_numpy(data.labels[mine]), "random": random}
                where = folder and keep_batch(folder, team.rank, step, tensors, [data.ids[row] for row in mine])
                raise not_a_number(loss, step, dict(zip(journal.names, terms.tolist(), strict=True)), where)
            if recipe.optimiser.clip:
                accelerator.clip_grad_norm_(network.parameters(), recipe.optimiser.clip)
            optimiser.step()
            if average:
                average.update_parameters(network)
            images = sum(len(own) for own in everyone)
            journal.add(step, images, loss, terms, data.pictures.clock.share, share * recipe.optimiser.learning_rate)
            if step.last:
                journal.close_epoch(step, _worth(look, kept, recipe, step, team))
            if folder and _due(recipe, step):
                state.save(folder, step.number + 1)
    return Trained(kept.cpu().eval(), journal.history, str(device), team.size)


def _accelerator(recipe: Recipe, folder: Path | None) -> Any:
    """Device, precision, processes and trackers."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    check_trackers(recipe.trackers)
    AcceleratorState._reset_state()  # else the precision of an earlier run in this process would stay
    try:
        return Accelerator(
            mixed_precision=recipe.precision.replace("float32", "no"),
            log_with=[EVENTS, *recipe.trackers] if folder else None,
            project_dir=folder and folder / EVENTS,
        )
    except ValueError as error:
        raise UsageError(
            f"precision {recipe.precision} cannot be had here", got=str(error), do="choose another"
        ) from error


def _readable(step: Step, rows: Ints, known: Ints, seed: int, team: Team) -> tuple[Ints, Tensor]:
    """Of this process's part of a batch, the labels' rows that could be read, and each one's random numbers."""
    mine = team.share(step.rows)
    random = draws(seed, step.epoch, step.within, len(step.rows))[team.share(np.arange(len(step.rows)))]
    if len(rows) == len(mine):
        return mine, random
    there = np.isin(known[mine], rows)
    return mine[there], random[torch.from_numpy(there)]


def _worth(look: Look | None, network: Network, recipe: Recipe, step: Step, team: Team) -> float:
    """H-AP where it is due, NaN elsewhere."""
    due = step.epoch + 1 == recipe.epochs or (step.epoch + 1) % recipe.data.validate_every == 0
    if look is None or not due:
        return math.nan
    team.same_buffers(network)
    return look(network)


def _due(recipe: Recipe, step: Step) -> bool:
    """Whether a checkpoint is due after a step."""
    epochs, steps = recipe.checkpoint.epochs, recipe.checkpoint.steps
    return bool((step.last and epochs and (step.epoch + 1) % epochs == 0) or (steps and (step.within + 1) % steps == 0))
