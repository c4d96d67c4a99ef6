"""Pictures to train on that need no release: noise, four of a landmark, four labels, two kinds; and one step on them.

As a program (`python -m tests.trainable FOLDER`, under torchrun or alone) it takes the gradient of one batch in several
ways and writes it down, so that several processes can be compared with one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import Tensor

from hierlandmarks.params import from_mapping
from hierlandmarks_benchmark.images import plain
from hierlandmarks_benchmark.loading import Clock
from hierlandmarks_benchmark.models import build_network
from hierlandmarks_benchmark.objective import Objective
from hierlandmarks_benchmark.recipe import Recipe
from hierlandmarks_benchmark.train.backward import Learner
from hierlandmarks_benchmark.train.loop import Data
from hierlandmarks_benchmark.train.team import Team, together

SIDE = 24


class Noise:
    """As `hierlandmarks_benchmark.loading.Held`."""

    def __init__(self, count: int, unreadable: tuple[int, ...] = ()) -> None:
        generator = torch.Generator().manual_seed(0)
        self.pixels = torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
        self.rows, self.unreadable, self.clock = np.arange(count), unreadable, Clock()

    def feed(self, batches: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        return self.clock.watch(self._batch(rows) for rows in batches)

    def _batch(self, rows: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
        kept = rows[~np.isin(rows, self.unreadable)]
        return kept, self.pixels[torch.from_numpy(kept)]


def data(landmarks: int = 8, each: int = 4, unreadable: tuple[int, ...] = ()) -> Data:
    """`unreadable` are rows that are asked for and do not come, as while streaming."""
    landmark = np.repeat(np.arange(landmarks), each)
    labels = np.stack([landmark, landmark % 4, landmark % 4 // 2], axis=1)
    return Data(Noise(len(labels), unreadable), labels, [f"id{row}" for row in range(len(labels))])


def transformer(dropout: float) -> Recipe:
    """A small ViT, which has dropout and no BatchNorm."""
    config = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config |= {"patch_size": 8, "hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    return _recipe("vit", {"layer_norm": True, "config": config})


def residual() -> Recipe:
    """A small ResNet, whose BatchNorms learn their statistics."""
    config = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    return _recipe("resnet", {"config": config, "pooling": "avg"})


def _recipe(backbone: str, model: dict[str, Any]) -> Recipe:
    mapping = {
        "name": backbone,
        "seed": 5,
        "epochs": 2,
        "data": {"size": SIDE, "embedded": SIDE, "stored": SIDE},
        "augmentation": {},
        "model": {"backbone": backbone, "dim": 16, **model},
        "sampler": {"kind": "classes", "batch": 32, "per_landmark": 4},
        "head": 12,
        "loss": [{"name": "SupHAPLoss", "weight": 0.9}, {"name": "ProxyLoss", "weight": 0.1}],
        "optimiser": {"learning_rate": 1e-3, "weight_decay": 0.01, "proxy_learning_rate": 1e-2},
        "schedule": {},
    }
    return from_mapping(Recipe, mapping, where=backbone)


def learner(recipe: Recipe, found: Data) -> Learner:
    """A fresh network and loss, ready for one step."""
    accelerator = Accelerator(mixed_precision="no")
    team = Team.found()
    network = team.share_statistics(build_network(recipe))
    torch.manual_seed(1)
    objective = Objective(recipe.loss, found.labels, network.dim, recipe.head)
    return Learner(network.train(), objective, accelerator, team)


def one_step(chunk: int, recipe: Recipe, exact: bool = False) -> tuple[dict[str, Tensor], Learner, float]:
    """The gradient of a batch of all pictures, by parameter, and its loss; `exact`: the network works in float64."""
    found = data()
    one = learner(recipe, found)
    kind = torch.float64 if exact else torch.float32
    one.network.to(kind)
    mine = torch.from_numpy(one.team.share(found.pictures.rows))
    pictures = plain(found.pictures.pixels[mine], SIDE).to(kind)
    sizes = [len(part) for part in np.array_split(found.pictures.rows, one.team.size)]
    torch.manual_seed(2 + one.team.rank)
    loss, _ = one.backward(lambda part: pictures[part], torch.from_numpy(found.labels), sizes, chunk)
    return gradients(one), one, loss


def gradients(one: Learner) -> dict[str, Tensor]:
    """By name, of network and loss."""
    parameters: list[tuple[str, Any]] = [*one.network.named_parameters(), *one.objective.named_parameters("objective")]
    return {name: parameter.grad for name, parameter in parameters}


CASES: dict[str, tuple[Any, ...]] = {  # arguments of `one_step`
    "once": (0, transformer(0.0)),
    "chunks": (5, transformer(0.0)),
    "dropout": (5, transformer(0.2)),
    "norms": (0, residual()),
    "exact": (0, residual(), True),
}


def main(folder: str) -> None:
    reductions: list[int] = []
    reduce = torch.distributed.all_reduce
    torch.distributed.all_reduce = lambda *a, **k: reductions.append(1) or reduce(*a, **k)
    with together():
        for name, case in CASES.items():
            reductions.clear()
            found, one, loss = one_step(*case)
            counted = {"loss": torch.tensor(loss, dtype=torch.float64), "reductions": torch.tensor(len(reductions))}
            learnt = {f"statistics.{key}": value for key, value in one.network.named_buffers()}
            tensors = {key: value.contiguous() for key, value in (found | learnt).items()} | counted
            save_file(tensors, f"{folder}/{name}.{one.team.rank}")


if __name__ == "__main__":
    main(sys.argv[1])
