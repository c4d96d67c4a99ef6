"""The training loop: decoded pictures and labels in, a trained network and its history out. Knows nothing of files."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from hierlandmarks.errors import UsageError
from hierlandmarks_benchmark.images import augment, draws
from hierlandmarks_benchmark.models import Network, build_network
from hierlandmarks_benchmark.objective import Objective, compact
from hierlandmarks_benchmark.recipe import OptimiserParams, Recipe, ScheduleParams
from hierlandmarks_benchmark.samplers import batches

Record = dict[str, float]
Look = Callable[[Network], float]


@dataclass(frozen=True)
class Trained:
    """What training leaves: the network on the CPU, one record an epoch, and the device it was trained on."""

    network: Network
    history: list[Record]
    device: str


def fit(pixels: Tensor, labels: NDArray[np.int64], recipe: Recipe, look: Look | None = None) -> Trained:
    """Train a recipe's network.

    On a CPU with the same number of threads the same arguments give the same weights, bit for bit. The global random
    state is left as it was.

    Args:
        pixels: N × 3 × S × S uint8.
        labels: N × 3 codes, fine → coarse; every landmark ≥ 0.
        recipe: the run.
        look: what a network is worth (H-AP on validation), asked every `data.validate_every` epochs and at the end.

    Raises:
        UsageError: too few landmarks for a batch, a name that is unknown, or a loss that is no number any more.
    """
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed + 1)  # another stream than the one the network's weights come from
        return _fit(pixels, compact(labels), recipe, look)


def _fit(pixels: Tensor, labels: NDArray[np.int64], recipe: Recipe, look: Look | None) -> Trained:
    from accelerate import Accelerator

    accelerator = Accelerator(mixed_precision=recipe.precision.replace("float32", "no"))
    if accelerator.num_processes > 1:
        raise UsageError("training runs in one process", got=accelerator.num_processes, do="start it without torchrun")
    device = accelerator.device
    steps = len(batches(labels, recipe.sampler, seed=recipe.seed, epoch=0))
    network = build_network(recipe).to(device)
    objective = Objective(recipe.loss, labels, network.dim, recipe.head).to(device)
    optimiser = torch.optim.AdamW(_groups(network, objective, recipe.optimiser))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, _scale(recipe.schedule, recipe.epochs, steps))
    ema = recipe.optimiser.ema
    average = _average(network, ema) if ema else None
    model, optimiser, schedule = accelerator.prepare(network, optimiser, schedule)
    kept = cast(Network, average.module) if average else network
    codes = torch.from_numpy(labels).to(device)
    history: list[Record] = []
    with tqdm(total=recipe.epochs * steps, desc="  train", unit="step", file=sys.stderr, disable=None) as bar:
        for epoch in range(recipe.epochs):
            record = _Epoch(epoch, schedule.get_last_lr()[0], recipe)
            network.train()
            for step, rows in enumerate(batches(labels, recipe.sampler, seed=recipe.seed, epoch=epoch)):
                random = draws(recipe.seed, epoch, step, len(rows))
                pictures = augment(pixels[rows].to(device), recipe.augmentation, recipe.data.size, random)
                loss, terms = objective(model(pictures), codes[rows])
                value = float(loss.detach())
                record.add(step, len(rows), value, terms)
                optimiser.zero_grad()
                accelerator.backward(loss)
                if recipe.optimiser.clip:
                    accelerator.clip_grad_norm_(network.parameters(), recipe.optimiser.clip)
                optimiser.step()
                schedule.step()
                if average:
                    average.update_parameters(network)
                bar.set_postfix_str(f"epoch {epoch + 1}, loss {value:.3f}, {record.rate():.0f} images/s", refresh=False)
                bar.update()
            last = epoch + 1 == recipe.epochs
            due = last or (epoch + 1) % recipe.data.validate_every == 0
            history.append(record.close() | {"h_ap": look(kept) if look and due else math.nan})
    return Trained(kept.cpu().eval(), history, str(device))


class _Epoch:
    """What an epoch was like, gathered step by step."""

    def __init__(self, epoch: int, learning_rate: float, recipe: Recipe) -> None:
        self.epoch, self.learning_rate = epoch, learning_rate
        self.names = [f"{term.name}_{i}" for i, term in enumerate(recipe.loss)]
        self.started, self.images, self.loss, self.terms = time.perf_counter(), 0, 0.0, np.zeros(len(recipe.loss))

    def add(self, step: int, images: int, loss: float, terms: Tensor) -> None:
        """Count a batch, refusing a loss that is no number."""
        if not math.isfinite(loss):
            raise UsageError(
                f"the loss is {loss} in epoch {self.epoch + 1}, step {step + 1}",
                got=", ".join(f"{name} {value:.4g}" for name, value in zip(self.names, terms.tolist(), strict=True)),
                do="lower optimiser.learning_rate or set optimiser.clip",
            )
        self.images += images
        self.loss += images * loss
        self.terms += images * terms.cpu().double().numpy()

    def rate(self) -> float:
        """Images a second so far."""
        return self.images / (time.perf_counter() - self.started)

    def close(self) -> Record:
        """The epoch in one record: learning rate at its start, means over its images."""
        record = {"epoch": self.epoch + 1, "learning_rate": self.learning_rate, "loss": self.loss / self.images}
        record |= dict(zip(self.names, (self.terms / self.images).tolist(), strict=True))
        return record | {"images": self.images, "images_per_second": self.rate()}


def _average(network: Network, decay: float) -> AveragedModel:
    """A running mean of the weights, and of BatchNorm's statistics with them."""
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)  # type: ignore[no-untyped-call]


def _groups(network: Network, objective: Objective, params: OptimiserParams) -> list[dict[str, Any]]:
    """Weights decay; biases, norms and proxies do not, and proxies have a learning rate of their own."""
    head = objective.head.parameters() if objective.head is not None else ()
    trained = [p for p in (*network.parameters(), *head) if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim > 1], "lr": params.learning_rate, "weight_decay": params.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "lr": params.learning_rate, "weight_decay": 0.0},
        {"params": list(objective.terms.parameters()), "lr": params.proxy_learning_rate, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _scale(params: ScheduleParams, epochs: int, steps: int) -> Callable[[int], float]:
    """Step → share of the peak learning rate: linear up over the warm-up, then half a cosine down to the floor."""
    total, warmup = epochs * steps, params.warmup * steps

    def scale(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        done = (step - warmup) / max(1.0, total - warmup)
        return params.floor + (1 - params.floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    return scale
