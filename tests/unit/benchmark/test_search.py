"""The device search against the library: one process, several ranks, and the errors."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from hierlandmarks.errors import CorruptInputError, UsageError
from hierlandmarks.metrics import evaluate_embeddings
from hierlandmarks_benchmark import search

GALLERY, QUERIES = 137, 23


def _data(seed: int = 0) -> dict[str, Any]:
    """Whole numbers, so that products are exact in any order and many scores tie."""
    rng = np.random.default_rng(seed)

    def labels(n: int) -> np.ndarray:
        leaf = rng.integers(0, 24, n)
        tree = np.stack([leaf, leaf // 4, leaf // 12], axis=1)
        tree[rng.random(n) < 0.1, 2] = -1
        return tree

    return {
        "query": rng.integers(-2, 3, (QUERIES, 6)).astype(np.float32),
        "query_labels": labels(QUERIES),
        "gallery": rng.integers(-2, 3, (GALLERY, 6)).astype(np.float32),
        "gallery_labels": labels(GALLERY),
        "query_ids": np.arange(QUERIES),
        "gallery_ids": np.arange(GALLERY)[::-1],
    }


def _same(a: pd.DataFrame, b: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(a, b, rtol=0, atol=1e-12, check_dtype=False)


@pytest.mark.parametrize("weights", [None, (0.2, 0.3, 0.5)])
@pytest.mark.parametrize("with_gallery", [True, False])
def test_equal_to_the_library(weights: tuple[float, ...] | None, with_gallery: bool) -> None:
    data = _data()
    if not with_gallery:
        data = {name: data[name] for name in ("query", "query_labels", "query_ids")}
    relevance = "proportional" if weights is None else "decomposed"
    ours = evaluate_embeddings(**data, relevance=relevance, weights=weights, resamples=10)
    theirs = search.evaluate_embeddings(**data, relevance=relevance, weights=weights, resamples=10, device="cpu")
    _same(ours.per_query, theirs.per_query)
    assert ours.ties == theirs.ties


def test_small_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = search.evaluate_embeddings(**_data(), resamples=10, device="cpu")
    monkeypatch.setattr(search, "CPU_BUDGET", 100_000)
    _same(whole.per_query, search.evaluate_embeddings(**_data(), resamples=10, device="cpu").per_query)


def _rank_of_three(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=3)
    data = _data()
    part = slice(*((0, 40), (40, 41), (41, GALLERY))[rank])
    for name in ("gallery", "gallery_labels", "gallery_ids"):
        data[name] = data[name][part]
    search.CPU_BUDGET = 200_000  # several blocks, of which ranks have unequal shares
    report = search.evaluate_embeddings(**data, resamples=10, device="cpu")
    report.per_query.to_pickle(f"{folder}/{rank}.pickle")
    dist.destroy_process_group()


def test_a_gallery_in_three_parts_is_equal_to_one() -> None:
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_rank_of_three, args=(folder,), nprocs=3)
        whole = evaluate_embeddings(**_data(), resamples=10)
        for rank in range(3):
            _same(whole.per_query, pd.read_pickle(Path(folder) / f"{rank}.pickle"))


@pytest.mark.parametrize("name", ["query", "gallery"])
def test_the_offending_row_is_named(name: str) -> None:
    data = _data()
    data[name][5, 2] = np.nan
    with pytest.raises(CorruptInputError, match=f"{name} embeddings row 5"):
        search.evaluate_embeddings(**data, device="cpu")


def test_no_cuda_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no CUDA device"):
        search.evaluate_embeddings(**_data(), device="cuda")


@pytest.mark.gpu
def test_cuda_agrees_with_the_library() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    ours = evaluate_embeddings(**_data(), resamples=10)
    _same(ours.per_query, search.evaluate_embeddings(**_data(), resamples=10, device="cuda").per_query)
