"""The public surface: the names others rely on, where they rely on them; more is an accident, less is a break."""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.metadata import entry_points

import pytest

NAMES = {
    "hierlandmarks": ["Dataset", "Hierarchy", "download", "load"],
    "hierlandmarks_benchmark.losses": [
        "CSLLoss",
        "CalibrationLoss",
        "CrossBatchMemory",
        "ProxyLoss",
        "SmoothAPLoss",
        "SmoothHAPLoss",
        "SmoothNDCGLoss",
        "SupAPLoss",
        "SupHAPLoss",
        "SupNDCGLoss",
        "SupRecallLoss",
        "TripletLoss",
        "WeightedLoss",
    ],
}


@pytest.mark.parametrize("module", sorted(NAMES))
def test_exported_names(module: str) -> None:
    found = import_module(module)
    assert sorted(found.__all__) == NAMES[module]
    for name in found.__all__:
        assert inspect.getdoc(getattr(found, name)), f"{module}.{name} has no docstring"


def test_metrics_surface() -> None:
    metrics = import_module("hierlandmarks.metrics")
    assert {"evaluate_embeddings", "evaluate_rankings"} <= set(metrics.__all__)
    for name in metrics.__all__:
        assert inspect.getdoc(getattr(metrics, name)), f"hierlandmarks.metrics.{name} has no docstring"


def test_the_losses_share_the_call_of_the_field() -> None:
    losses = import_module("hierlandmarks_benchmark.losses")
    for name in losses.__all__:
        parameters = list(inspect.signature(getattr(losses, name).forward).parameters)
        assert parameters[:5] == ["self", "embeddings", "labels", "ref_emb", "ref_labels"], name


@pytest.mark.parametrize("group", ["hierlandmarks.commands", "hierlandmarks.stages", "hierlandmarks.releases"])
def test_every_entry_point_loads(group: str) -> None:
    points = entry_points(group=group)
    assert points
    for point in points:
        assert point.load() is not None
