"""A release, a recipe of seconds and a trained model that the tests of training share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hierlandmarks.params import from_mapping
from hierlandmarks_benchmark.recipe import Recipe
from hierlandmarks_benchmark.train import train
from tests.coloured import SIDE
from tests.coloured import release as write

os.environ.setdefault("ACCELERATE_USE_CPU", "true")  # bit for bit the same holds on a CPU

TINY = {
    "name": "tiny",
    "seed": 3,
    "epochs": 4,
    "data": {"size": 16, "embedded": 20, "stored": SIDE, "validate_every": 2},
    "augmentation": {"area": 0.5, "aspect": 1.2, "flip": 0.5, "brightness": 0.1},
    "model": {
        "backbone": "resnet",
        "dim": 16,
        "config": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
    },
    "sampler": {"kind": "hierarchical", "batch": 16, "per_landmark": 4},
    "head": 12,
    "loss": [{"name": "SupHAPLoss", "weight": 0.9}, {"name": "ProxyLoss", "weight": 0.1}],
    "optimiser": {"learning_rate": 3e-3, "weight_decay": 0.01, "proxy_learning_rate": 1e-2},
    "schedule": {"warmup": 0.5},
}


@pytest.fixture(scope="session")
def tiny() -> Recipe:
    """A recipe that takes a second."""
    return from_mapping(Recipe, TINY, where="tiny")


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10 landmarks to train on, 6 unseen ones in query and index."""
    splits = {"train": (range(10), 5), "index": (range(10, 16), 4), "query": (range(10, 16), 2)}
    return write(tmp_path_factory.mktemp("coloured"), splits)


@pytest.fixture(scope="session")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with train and validation only."""
    return write(tmp_path_factory.mktemp("validated"), {"train": (range(10), 5), "validation": (range(10, 16), 4)})


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, release: Path, tiny: Recipe) -> Path:
    """The tiny recipe, trained on the release."""
    folder = tmp_path_factory.mktemp("model")
    train(release, tiny, folder)
    return folder
