"""Everything that changes while a run trains, to and from its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel

from hierlandmarks.progress import say
from hierlandmarks_benchmark.train.backward import Learner
from hierlandmarks_benchmark.train.checkpoint import (
    CHECKPOINT,
    load_module,
    load_optimiser,
    module_tensors,
    optimiser_tensors,
    read_checkpoint,
    write_checkpoint,
)
from hierlandmarks_benchmark.train.journal import Journal


@dataclass(frozen=True)
class State:
    """The parts of a run.

    Attributes:
        learner: network, and the loss with its proxies and memory.
        optimiser: prepared by accelerate.
        average: running mean of the weights, or None.
        journal: the records, and the epoch so far.
        about: recipe and data, which a checkpoint has to agree with.
    """

    learner: Learner
    optimiser: Any
    average: AveragedModel | None
    journal: Journal
    about: Mapping[str, Any]

    def save(self, folder: Path, done: int) -> None:
        """Write a checkpoint after `done` steps; every process calls it, the first one writes."""
        team, device = self.learner.team, self.learner.accelerator.device
        tensors = optimiser_tensors(self.optimiser)
        for name, module in self._modules().items():
            tensors |= module_tensors(name, module)
        tensors |= {f"random.{i}": state for i, state in enumerate(team.everyone(torch.get_rng_state().to(device)))}
        if device.type == "cuda":
            states = team.everyone(torch.cuda.get_rng_state(device).to(device))
            tensors |= {f"random_cuda.{i}": state for i, state in enumerate(states)}
        scaler = self.learner.accelerator.scaler
        notes = {
            "about": self.about,
            "done": done,
            "processes": team.size,
            "journal": self.journal.notes(),
            "scaler": scaler.state_dict() if scaler else None,
        }
        if team.leads:
            write_checkpoint(folder, tensors, notes)
        team.wait()

    def load(self, folder: Path) -> int:
        """Go on from the folder's checkpoint, if there is one; how many steps are done.

        Raises:
            UsageError: it is of another run.
            CorruptInputError: it cannot be read.
        """
        found = read_checkpoint(folder, self.about)
        if found is None:
            return 0
        tensors, notes = found
        for name, module in self._modules().items():
            load_module(name, module, tensors)
        load_optimiser(self.optimiser, tensors)
        team, accelerator = self.learner.team, self.learner.accelerator
        if notes["processes"] == team.size:  # with another number, dropout cannot be the same anyway
            torch.set_rng_state(tensors[f"random.{team.rank}"])
            if accelerator.device.type == "cuda" and f"random_cuda.{team.rank}" in tensors:
                torch.cuda.set_rng_state(tensors[f"random_cuda.{team.rank}"], accelerator.device)
        if accelerator.scaler and notes["scaler"]:
            accelerator.scaler.load_state_dict(notes["scaler"])
        self.journal.resume(notes["journal"])
        if team.leads:
            say(f"  going on after step {notes['done']:,}, from {folder / CHECKPOINT}")
        return int(notes["done"])

    def _modules(self) -> dict[str, torch.nn.Module]:
        modules: dict[str, torch.nn.Module] = {"network": self.learner.network, "objective": self.learner.objective}
        return modules | ({"average": self.average} if self.average else {})
