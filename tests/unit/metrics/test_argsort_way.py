"""What the library is timed against computes the same numbers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from hierlandmarks.metrics import evaluate_embeddings


def test_the_full_argsort_way_is_equal(root: Path) -> None:
    spec = importlib.util.spec_from_file_location("argsort_way", root / "benchmark" / "perf" / "argsort_way.py")
    assert spec is not None
    assert spec.loader is not None
    argsort_way = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(argsort_way)
    rng = np.random.default_rng(0)
    leaf, mine = rng.integers(0, 60, 400), rng.integers(0, 60, 12)
    gallery_labels, query_labels = (np.stack([x, x // 6, x // 30], axis=1) for x in (leaf, mine))
    query = rng.integers(-3, 4, (12, 6)).astype(np.float32)  # whole numbers: equal scores, equal order
    gallery = rng.integers(-3, 4, (400, 6)).astype(np.float32)
    found = argsort_way.evaluate(query, gallery, query_labels, gallery_labels)
    report = evaluate_embeddings(query, query_labels, gallery, gallery_labels, resamples=1)
    assert set(found) == set(report.columns)
    for name, values in found.items():
        assert values == pytest.approx(report.per_query[name].to_numpy(), abs=1e-12, nan_ok=True), name
