"""What somebody may hand in on the release of `tests.board`: good files of every kind, for tests and for fuzzing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from safetensors.numpy import save_file

from hierlandmarks.metrics.kaggle import write_predictions
from hierlandmarks.metrics.trec import write_run
from hierlandmarks_benchmark.intake.truth import GroundTruth, load_truth
from hierlandmarks_benchmark.tracks import Track, load_track

Ranked = dict[str, list[str]]


def write_track(path: Path, **changes: object) -> Track:
    """A track on the tiny release, as its file says it."""
    content = {"name": "tiny", "about": "A few drawn pictures.", "query_split": "query", "gallery_split": "index"}
    path.write_text(yaml.safe_dump(content | changes))
    return load_track(str(path))


def truth_of(release: Path, folder: Path, **changes: object) -> GroundTruth:
    """The ground truth of the tiny release on a track of it."""
    return load_truth(write_track(folder / "tiny.yaml", **changes), release)


def ranked(truth: GroundTruth, seed: int = 0) -> Ranked:
    """A list of the whole gallery for every query, in an order of chance."""
    rng = np.random.default_rng(seed)
    ids = truth.searched.ids.to_numpy()
    return {query: ids[rng.permutation(len(ids))].tolist() for query in truth.queries.ids}


def vectors(count: int, seed: int = 0) -> np.ndarray:
    """Vectors of chance, N × 12."""
    return np.random.default_rng(seed).standard_normal((count, 12)).astype(np.float32)


def write_lists(path: Path, lists: Ranked) -> Path:
    """Lists as Parquet."""
    pq.write_table(pa.table({"query_id": list(lists), "images": list(lists.values())}), path)
    return path


def write_csv(path: Path, lists: Ranked) -> Path:
    """Lists as a Kaggle CSV."""
    write_predictions(path, lists)
    return path


def write_trec(path: Path, lists: Ranked) -> Path:
    """Lists as a TREC run."""
    write_run(path, lists)
    return path


RANKINGS: dict[str, Callable[[Path, Ranked], Path]] = {
    "lists.csv": write_csv,
    "lists.trec": write_trec,
    "lists.parquet": write_lists,
}


def write_vectors(folder: Path, kind: str, split: str, ids: Sequence[str], array: np.ndarray) -> Path:
    """Embeddings of a split as npz, npy, safetensors or Parquet, with ids."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{split}.{kind}"
    if kind == "npz":
        np.savez_compressed(path, ids=np.array(ids), embeddings=array)
    elif kind == "parquet":
        pq.write_table(pa.table({"id": list(ids), "embedding": list(array)}), path)
    elif kind == "npy":
        np.save(path, array)
        path.with_suffix(".txt").write_text("\n".join(ids) + "\n")
    else:
        save_file({"embeddings": np.ascontiguousarray(array)}, path)
        pq.write_table(pa.table({"id": list(ids)}), path.with_suffix(".parquet"))
    return path
