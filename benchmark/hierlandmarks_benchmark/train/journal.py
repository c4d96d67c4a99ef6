"""What is said of a run while it trains: a bar on the terminal, a record an epoch, trackers (TensorBoard always)."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from tqdm import tqdm

from hierlandmarks.errors import MissingDataError, UsageError
from hierlandmarks.params import nearest, to_mapping
from hierlandmarks_benchmark.recipe import Recipe
from hierlandmarks_benchmark.samplers import Step

Record = dict[str, float]
EVENTS = "tensorboard"


def check_trackers(names: tuple[str, ...]) -> None:
    """Refuse trackers that accelerate does not know, or whose package is not installed.

    Raises:
        UsageError: an unknown name; the nearest is named.
        MissingDataError: a tracker that is not installed.
    """
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    there = {str(name) for name in get_available_trackers()}
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            raise UsageError("trackers has an unknown name", got=repr(name), do=nearest(name, LOGGER_TYPE_TO_CLASS))
        if name not in there:
            raise MissingDataError(f"the tracker {name} is not installed", do=f"pip install {name}, or remove it")


class Journal:
    """Gathers a run step by step; only the first process shows and reports it, all of them keep it.

    Args:
        recipe: the run.
        length: steps an epoch.
        accelerator: holds the trackers.
    """

    def __init__(self, recipe: Recipe, length: int, accelerator: Any) -> None:
        self.recipe, self.length, self.accelerator = recipe, length, accelerator
        self.names = [f"{term.name}_{i}" for i, term in enumerate(recipe.loss)]
        self.history: list[Record] = []
        self._h_ap = ""
        self._bar: Any = None
        self._clear()

    def open(self, folder: Path | None, done: int) -> None:
        """Show the bar and open the trackers, `done` steps into the run."""
        total, quiet = self.recipe.epochs * self.length, None if self.accelerator.is_main_process else True
        self._bar = tqdm(
            total=total, initial=done, desc="  train", unit="step", file=sys.stderr, disable=quiet, mininterval=0.5
        )
        if folder is not None:
            settings = {EVENTS: {"purge_step": done}} if done else {}
            self.accelerator.init_trackers(self.recipe.name, init_kwargs=settings)
            for tracker in self.accelerator.trackers:
                if tracker.name != EVENTS:  # which would make a folder and a page of hyperparameters of it
                    tracker.store_init_configuration(to_mapping(self.recipe))
        self._since = time.perf_counter()

    def add(self, step: Step, images: int, loss: float, terms: Tensor, waiting: float, rate: float) -> None:
        """Count a step.

        Args:
            step: which.
            images: of its batch.
            loss: of its batch.
            terms: of the loss, without weights.
            waiting: share of the time so far that the network waited for pictures.
            rate: the network's learning rate.
        """
        if step.within == 0:
            self._rate = rate
        values = terms.cpu().double().numpy()
        self._images += images
        self._loss += images * loss
        self._terms += images * values
        self._waiting = waiting
        logged = {"loss": loss, "learning_rate": rate, "images_per_second": self.throughput(), "waiting": waiting}
        self._log(logged | dict(zip(self.names, values.tolist(), strict=True)), step.number)
        talk = f"epoch {step.epoch + 1}, loss {loss:.3f}{self._h_ap}, {self.throughput():.0f} images/s"
        self._bar.set_postfix_str(talk, refresh=False)
        self._bar.update()

    def throughput(self) -> float:
        """Images a second in this epoch so far."""
        return float(self._images / (self._seconds + time.perf_counter() - self._since))

    def close_epoch(self, step: Step, h_ap: float) -> None:
        """Put the epoch on record: the learning rate at its start, means over its images, H-AP where it was asked."""
        record = {"epoch": step.epoch + 1, "learning_rate": self._rate, "loss": self._loss / self._images}
        record |= dict(zip(self.names, (self._terms / self._images).tolist(), strict=True))
        record |= {"images": self._images, "images_per_second": self.throughput(), "waiting": self._waiting}
        self.history.append(record | {"h_ap": h_ap})
        if h_ap == h_ap:
            self._h_ap = f", H-AP {h_ap:.3f}"
            self._log({"h_ap": h_ap}, step.number)
        self._clear()

    def close(self) -> None:
        """Take the bar away and close the trackers."""
        if self._bar is not None:
            self._bar.close()
        for tracker in self.accelerator.trackers:
            tracker.finish()

    def notes(self) -> dict[str, Any]:
        """What a checkpoint keeps: the records, and the epoch so far."""
        seconds = self._seconds + time.perf_counter() - self._since
        return {
            "history": self.history,
            "epoch": {"rate": self._rate, "images": self._images, "loss": self._loss, "seconds": seconds},
            "terms": self._terms.tolist(),
        }

    def resume(self, notes: Mapping[str, Any]) -> None:
        """Go on from what `notes` gave."""
        epoch = notes["epoch"]
        self.history = list(notes["history"])
        self._rate, self._images, self._loss = epoch["rate"], epoch["images"], epoch["loss"]
        self._seconds, self._terms = epoch["seconds"], np.array(notes["terms"])

    def _clear(self) -> None:
        self._rate, self._images, self._loss, self._seconds, self._waiting = 0.0, 0, 0.0, 0.0, 0.0
        self._terms = np.zeros(len(self.names))
        self._since = time.perf_counter()

    def _log(self, values: Mapping[str, float], step: int) -> None:
        if self.accelerator.trackers:
            self.accelerator.log(dict(values), step=step)
