from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierlandmarks.errors import CorruptInputError, UsageError
from hierlandmarks.metrics import top_rankings
from hierlandmarks.metrics.sources import ArraySource
from hierlandmarks_benchmark import neighbours
from hierlandmarks_benchmark.neighbours import rank
from tests.reference.neighbours import rank as slow_rank

BACKENDS = ("faiss", "torch")


def unit(count: int, dim: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def found(
    query: np.ndarray, gallery: np.ndarray, k: int | None, backend: str, skip: np.ndarray | None = None
) -> list[list[int]]:
    blocks = list(rank(ArraySource(query), ArraySource(gallery), k, skip=skip, backend=backend))
    assert [start for start, _ in blocks] == np.cumsum([0, *(len(rows) for _, rows in blocks)])[:-1].tolist()
    return [[row for row in line if row >= 0] for _, rows in blocks for line in rows.tolist()]


@pytest.fixture(params=[7, 1000], ids=["small tiles", "one tile"])
def _tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "TILE", request.param)
    monkeypatch.setattr(neighbours, "QUERIES", 5)
    monkeypatch.setattr(neighbours, "SPARE", 2)


@pytest.mark.usefixtures("_tiles")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("k", [1, 6, 60, 61, None])
def test_every_backend_gives_the_slow_lists(backend: str, k: int | None) -> None:
    query, gallery = unit(12, 8, 0), unit(61, 8, 1)
    gallery[[3, 17, 40]] = gallery[30]  # ties
    gallery[50:60] = gallery[30] * (1 + np.float32(2**-23) * np.arange(10, dtype=np.float32)[:, None])  # and nearly
    query[:3] = gallery[30]
    assert found(query, gallery, k, backend) == slow_rank(query, gallery, k or 61)


@pytest.mark.usefixtures("_tiles")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("k", [1, 5, 19, None])
def test_a_query_does_not_find_itself(backend: str, k: int | None) -> None:
    vectors = unit(20, 6, 2)
    vectors[4] = vectors[9]
    skip = np.arange(20)
    skip[[2, 11]] = -1
    assert found(vectors, vectors, k, backend, skip) == slow_rank(vectors, vectors, k or 20, skip.tolist())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gallery_of_copies_stands_in_its_order(backend: str) -> None:
    """More ties than candidates: they are asked for until none can be hidden."""
    gallery = np.repeat(unit(1, 16, 3), 500, axis=0)
    assert found(gallery[:2], gallery, 10, backend) == [list(range(10))] * 2


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 12), st.sampled_from(BACKENDS))
def test_coarse_vectors_with_many_ties(seed: int, size: int, k: int, backend: str) -> None:
    rng = np.random.default_rng(seed)
    query, gallery = (rng.integers(-1, 2, (count, 3)).astype(np.float32) for count in (4, size))
    assert found(query, gallery, k, backend) == slow_rank(query, gallery, k)


def test_the_order_is_that_of_the_metrics() -> None:
    query, gallery = unit(30, 32, 4), unit(400, 32, 5)
    lists = top_rankings(query, gallery, 25)
    assert found(query, gallery, 25, "auto") == [lists[row] for row in range(30)]


def test_mistakes_are_named() -> None:
    query, gallery = unit(3, 4, 0), unit(5, 4, 1)
    with pytest.raises(UsageError, match="widths 4 and 3"):
        found(query, gallery[:, :3], 2, "auto")
    with pytest.raises(UsageError, match="did you mean faiss"):
        found(query, gallery, 2, "fais")
    with pytest.raises(UsageError, match="k = 0"):
        found(query, gallery, 0, "auto")
    gallery[3, 2] = np.nan
    for k in (2, None):
        with pytest.raises(CorruptInputError, match="gallery row 3 is not finite"):
            found(query, gallery, k, "auto")
