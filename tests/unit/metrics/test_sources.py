"""One gallery in every form that vectors come in: the same scores to the last bit."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierlandmarks.errors import CorruptInputError, MissingDataError, UsageError
from hierlandmarks.metrics import evaluate_embeddings, scorers, top_rankings
from hierlandmarks.metrics.sources import ParquetSource, open_vectors
from hierlandmarks.metrics.threads import in_threads

ROWS, DIM = 700, 24


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((ROWS, DIM)).astype(np.float32)


def write(vectors: np.ndarray, form: str, folder: Path) -> Any:
    """The vectors as one file, or as a folder of three unequal shards."""
    folder.mkdir()
    cuts = [vectors] if form.startswith("one") else np.split(vectors, [100, 101])
    for i, part in enumerate(cuts):
        path = folder / f"part-{i}.{form.split()[1]}"
        if path.suffix == ".npy":
            np.save(path, part)
        elif path.suffix == ".safetensors":
            pytest.importorskip("safetensors.numpy").save_file(
                {"embeddings": part, "norms": part[:, 0].copy()}, str(path)
            )
        else:
            column = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), DIM)
            pq.write_table(pa.table({"embedding": column, "n": pa.array(range(len(part)))}), path, row_group_size=64)
    return folder if len(cuts) > 1 else path


@pytest.mark.parametrize("backend", ["numpy", "compiled"])
@pytest.mark.parametrize(
    "form", ["one npy", "one safetensors", "one parquet", "more npy", "more safetensors", "more parquet"]
)
def test_every_form_gives_the_same(
    vectors: np.ndarray, form: str, backend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorers, "TILE", 150)  # several tiles, across the edges of shards and row groups
    labels = np.random.default_rng(1).integers(0, 20, (ROWS, 1))
    settings: dict[str, Any] = {"backend": backend, "resamples": 1}
    whole = evaluate_embeddings(vectors[:90], labels[:90], vectors, labels, **settings).per_query
    streamed = evaluate_embeddings(vectors[:90], labels[:90], write(vectors, form, tmp_path / "g"), labels, **settings)
    pd.testing.assert_frame_equal(whole, streamed.per_query)


def test_threads_share_one_parquet_file(vectors: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyarrow reads a file for one thread at a time: for two it may give wrong rows, or wait for ever."""
    source = open_vectors(write(vectors, "one parquet", tmp_path / "g"), "gallery")
    inside: list[int] = []
    decode = ParquetSource._decode

    def alone(self: ParquetSource, index: int) -> Any:
        assert not inside, f"row group {index} is decoded while {inside[0]} is"
        inside.append(index)
        time.sleep(0.001)
        found = decode(self, index)
        inside.clear()
        return found

    monkeypatch.setattr(ParquetSource, "_decode", alone)
    starts = [start for _ in range(4) for start in range(0, ROWS - 50, 50)]
    read = in_threads(lambda start: source.read(start, start + 50), starts, threads=8)
    for start, rows in zip(starts, read, strict=True):
        np.testing.assert_array_equal(rows, vectors[start : start + 50])


def test_a_memory_map_of_half_precision(vectors: np.ndarray, tmp_path: Path) -> None:
    half = vectors.astype(np.float16)
    np.save(tmp_path / "half.npy", half)
    labels = np.arange(ROWS) % 9
    mapped = evaluate_embeddings(np.load(tmp_path / "half.npy", mmap_mode="r"), labels, resamples=1)
    pd.testing.assert_frame_equal(
        mapped.per_query, evaluate_embeddings(half.astype(np.float32), labels, resamples=1).per_query
    )


def test_how_blocks_are_cut_never_changes_the_outcome(vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole numbers, so that no product is rounded and scores tie: only the order of equals could differ."""
    whole = np.round(vectors)
    labels = np.random.default_rng(1).integers(0, 20, (ROWS, 1))
    want = evaluate_embeddings(whole, labels, resamples=1).per_query
    for tile, rows in ((1, (128, 1024)), (64, (7, 7)), (10_000, (1, 1))):
        monkeypatch.setattr(scorers, "TILE", tile)
        monkeypatch.setattr(scorers, "ROWS", rows)
        for backend in ("numpy", "compiled"):
            found = evaluate_embeddings(whole, labels, resamples=1, backend=backend).per_query
            pd.testing.assert_frame_equal(want, found, rtol=0, atol=1e-12)


def test_top_rankings_follow_the_same_order(vectors: np.ndarray) -> None:
    whole = np.round(vectors)
    ids = np.array([f"i{n:04}" for n in range(ROWS)])
    lists = top_rankings(whole[:20], whole, k=30, query_ids=ids[:20], gallery_ids=ids)
    scores = whole[:20] @ whole.T
    for q in range(20):
        order = [i for i in np.argsort(-scores[q], kind="stable") if i != q][:30]
        assert lists[f"i{q:04}"] == ids[order].tolist()


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="no gallery at"):
        open_vectors(tmp_path / "nothing.npy", "gallery")
    with pytest.raises(MissingDataError, match="holds no shard"):
        open_vectors(tmp_path, "gallery")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(UsageError, match=r"cannot read .*a\.txt"):
        open_vectors(tmp_path / "a.txt", "gallery")
    with pytest.raises(UsageError, match="expected N × d floating-point"):
        open_vectors(np.arange(6).reshape(2, 3), "gallery")
    pq.write_table(pa.table({"n": [1, 2]}), tmp_path / "b.parquet")
    with pytest.raises(CorruptInputError, match="no column of vectors"):
        open_vectors(tmp_path / "b.parquet", "gallery")
    for name, width in (("c", 3), ("d", 4)):
        np.save(tmp_path / f"{name}.npy", np.zeros((2, width), dtype=np.float32))
    with pytest.raises(CorruptInputError, match=r"shard d\.npy has another width"):
        open_vectors([tmp_path / "c.npy", tmp_path / "d.npy"], "gallery")
