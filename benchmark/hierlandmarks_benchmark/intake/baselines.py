"""What every board needs beside its models: chance, perfection, colours alone, a network that has learnt nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hierlandmarks.errors import UsageError
from hierlandmarks.metrics.levels import paths
from hierlandmarks.params import nearest
from hierlandmarks_benchmark.intake.lists import Rankings
from hierlandmarks_benchmark.intake.models import Function, Model, squares
from hierlandmarks_benchmark.intake.truth import GroundTruth

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 64  # pixels of the squares that the baselines look at
SEED = 0


def random_ranking(truth: GroundTruth, query: int) -> NDArray[np.int64]:
    """The gallery in an order of chance, another for every query."""
    return np.random.default_rng([SEED, query]).permutation(len(truth.searched.ids))


def oracle_ranking(truth: GroundTruth, query: int) -> NDArray[np.int64]:
    """The gallery in the best possible order: by level of match, read off the labels."""
    searched = truth.searched
    level = paths(truth.queries.labels[query : query + 1], searched.labels, np.array([-1])).levels(0)
    return np.argsort(-level.astype(np.int64), kind="stable")


RANKINGS: dict[str, Callable[[GroundTruth, int], NDArray[np.int64]]] = {
    "random": random_ranking,
    "oracle": oracle_ranking,
}


def baseline_rankings(name: str, truth: GroundTruth) -> Rankings:
    """The rankings of `random` or `oracle`; a query is left out of its own list."""
    rows = np.full((len(truth.queries.ids), truth.depth), -1, dtype=np.int32)
    itself = truth.searched.ids.get_indexer(truth.queries.ids)
    for query in range(len(rows)):
        order = RANKINGS[name](truth, query)
        order = order[order != itself[query]][: truth.depth]
        rows[query, : len(order)] = order
    return Rankings(rows)


def baseline_model(name: str) -> Model:
    """The model `colour-histogram` or `untrained`.

    Raises:
        UsageError: there is no such baseline; the nearest is named.
    """
    if name not in MODELS:
        raise UsageError("there is no such baseline", got=repr(name), do=nearest(name, [*MODELS, *RANKINGS]))
    return Function(MODELS[name]())


def _colours() -> Callable[[Sequence[Image]], NDArray[Any]]:
    from hierlandmarks_benchmark.baselines import colour_histogram

    return lambda images: colour_histogram(squares(images, SIDE))


def _untrained() -> Callable[[Sequence[Image]], NDArray[Any]]:
    """A ResNet-18 with random weights."""
    import torch
    from transformers import ResNetConfig, ResNetModel

    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        network = ResNetModel(ResNetConfig(hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic"))
    network.eval()

    @torch.inference_mode()
    def embed(images: Sequence[Image]) -> NDArray[Any]:
        pixels = torch.from_numpy(squares(images, SIDE)).float() / 127.5 - 1
        return np.asarray(network(pixels).pooler_output.flatten(1).numpy())

    return embed


MODELS: dict[str, Callable[[], Callable[[Sequence[Image]], NDArray[Any]]]] = {
    "colour-histogram": _colours,
    "untrained": _untrained,
}
