"""What every test may use: the data folder beside the checkout, and quiet threads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Two busy torch threads spin on each other's barriers; one is faster and steadier in tests.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# A busy machine is no failure: properties are bounded in examples, never in time.
settings.register_profile("bounded", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bounded")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SHARED.is_dir():
        return
    for item in items:
        if item.get_closest_marker("shared"):
            item.add_marker(pytest.mark.skip(reason=f"the data folder {SHARED} is not there"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout; tests that use it are marked `shared`."""
    if not SHARED.is_dir():
        pytest.skip(f"the data folder {SHARED} is not there")
    return SHARED
