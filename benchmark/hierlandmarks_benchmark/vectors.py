"""Embeddings on disk, one folder an entry: how `embed` and `evaluate` meet.

``ENTRY/SPLIT.safetensors`` holds the tensor `embeddings` (N × d float32), ``ENTRY/SPLIT.parquet`` the column `id` in
the same order, ``ENTRY/entry.json`` what made them and of which dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hierlandmarks.errors import CorruptInputError, MissingDataError
from hierlandmarks.tables import atomic_path, read_json, write_json, write_parquet

ENTRY = "entry.json"


@dataclass(frozen=True)
class Embeddings:
    """N ids and N × d float32 vectors of unit length."""

    ids: tuple[str, ...]
    vectors: NDArray[np.float32]


def query_and_gallery(splits: Sequence[str], release: object) -> tuple[str, str | None]:
    """Which splits are ranked: query against index, else validation against itself (gallery None).

    Raises:
        MissingDataError: the release has neither.
    """
    if {"query", "index"} <= set(splits):
        return "query", "index"
    if "validation" in splits:
        return "validation", None
    raise MissingDataError(
        f"the release {release} has nothing to evaluate on",
        got=f"splits {', '.join(splits)}",
        expected="query and index, or validation",
        do="export it with a share of validation",
    )


def write_embeddings(folder: Path, split: str, embeddings: Embeddings) -> None:
    """Write a split's embeddings and ids, each file atomically."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / f"{split}.safetensors") as part:
        save_file({"embeddings": np.ascontiguousarray(embeddings.vectors, np.float32)}, part)
    write_parquet(folder / f"{split}.parquet", pa.table({"id": pa.array(embeddings.ids, pa.string())}))


def read_embeddings(folder: Path, split: str) -> Embeddings:
    """Read what `write_embeddings` wrote.

    Raises:
        MissingDataError: a file is missing.
        CorruptInputError: a file is no embeddings, or there are not as many ids as vectors.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / f"{split}.safetensors"
    for file in (path, path.with_suffix(".parquet")):
        if not file.is_file():
            raise MissingDataError(f"{file} does not exist", do="embed the release: hierlandmarks bench embed")
    try:
        vectors = load_file(path)["embeddings"]
        ids = pq.read_table(path.with_suffix(".parquet"), columns=["id"])["id"].to_pylist()
    except (SafetensorError, KeyError, pa.ArrowInvalid, OSError) as error:
        raise CorruptInputError(f"{path} holds no embeddings with ids", got=str(error), do="embed again") from error
    if vectors.ndim != 2 or len(ids) != len(vectors):
        raise CorruptInputError(f"{path} does not fit its ids", got=f"{vectors.shape} and {len(ids)}", do="embed again")
    return Embeddings(tuple(ids), vectors)


def write_entry(folder: Path, about: dict[str, Any]) -> None:
    """Write what made an entry; `about["dataset"]["content_hash"]` names the release it belongs to."""
    write_json(folder / ENTRY, about)


def find_entries(embeddings: Path, content_hash: str) -> dict[str, dict[str, Any]]:
    """Entries under a folder of embeddings and what made each, by name.

    Raises:
        MissingDataError: there are none.
        CorruptInputError: an entry belongs to another dataset.
    """
    found = {path.parent.name: read_json(path) for path in sorted(embeddings.glob(f"*/{ENTRY}"))}
    if not found:
        raise MissingDataError(f"{embeddings} holds no embeddings", do="make them: hierlandmarks bench embed")
    for name, about in found.items():
        dataset = about.get("dataset")
        if not isinstance(dataset, dict) or "content_hash" not in dataset:
            raise CorruptInputError(f"{embeddings / name / ENTRY} says nothing of its dataset", do="embed again")
        if dataset["content_hash"] != content_hash:
            raise CorruptInputError(
                f"the embeddings {name} are of another dataset",
                got=f"{dataset.get('name')} {dataset['content_hash'][:12]}",
                expected=content_hash[:12],
                do="embed this release again",
            )
    return found
