"""Embeddings on disk, one folder an entry: how `embed`, `search`, `evaluate` and `submit` meet.

``ENTRY/SPLIT-00000-of-00002.safetensors`` holds the tensor `embeddings` (n × d float32) of one shard of a split and,
in its metadata, the pictures that were `skipped`; ``ENTRY/SPLIT-00000-of-00002.parquet`` the column `id` in the same
order; ``ENTRY/entry.json``, written last, what made them and of which dataset.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hierlandmarks.errors import CorruptInputError, IncompleteError, MissingDataError
from hierlandmarks.tables import atomic_path, read_json, write_json, write_parquet

ENTRY = "entry.json"
_SHARD = re.compile(r"(?P<split>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors")


@dataclass(frozen=True)
class Embeddings:
    """N ids and N × d float32 vectors of unit length."""

    ids: tuple[str, ...]
    vectors: NDArray[np.float32]


def query_and_gallery(splits: Sequence[str], release: object) -> tuple[str, str | None]:
    """Which splits are ranked: query against index, else test or validation against itself (gallery None).

    Raises:
        MissingDataError: the release has none of these.
    """
    if {"query", "index"} <= set(splits):
        return "query", "index"
    for alone in ("test", "validation"):
        if alone in splits:
            return alone, None
    raise MissingDataError(
        f"the release {release} has nothing to evaluate on",
        got=f"splits {', '.join(splits)}",
        expected="query and index, or test, or validation",
        do="export it with a share of validation",
    )


def shard_path(folder: Path, split: str, number: int, count: int) -> Path:
    """Where the vectors of a shard lie; its ids lie beside, as Parquet.

    >>> shard_path(Path("resnet"), "query", 0, 2).name
    'query-00000-of-00002.safetensors'
    """
    return folder / f"{split}-{number:05d}-of-{count:05d}.safetensors"


def is_written(path: Path) -> bool:
    """Whether a shard is there; one that is there is whole."""
    return path.is_file() and path.with_suffix(".parquet").is_file()


def write_shard(path: Path, embeddings: Embeddings, skipped: Sequence[str] = ()) -> None:
    """Write a shard, each file atomically, the vectors last; equal shards are equal bytes."""
    from safetensors.numpy import save

    write_parquet(path.with_suffix(".parquet"), pa.table({"id": pa.array(embeddings.ids, pa.string())}))
    tensors = {"embeddings": np.ascontiguousarray(embeddings.vectors, np.float32)}
    with atomic_path(path) as part:
        # Not save_file: it writes under a name of its own beside `part`, and a kill would leave that behind.
        part.write_bytes(save(tensors, {"skipped": json.dumps(list(skipped), ensure_ascii=False)}))


def write_embeddings(folder: Path, split: str, embeddings: Embeddings) -> None:
    """Write a split as one shard."""
    write_shard(shard_path(folder, split, 0, 1), embeddings)


def find_shards(folder: Path, split: str) -> list[Path]:
    """The shards of a split, in order.

    Raises:
        MissingDataError: there is none.
        IncompleteError: one is missing, or shards of two embeddings lie there.
    """
    named = {path: _SHARD.fullmatch(path.name) for path in sorted(folder.glob(f"{split}-*.safetensors"))}
    found = {path: match for path, match in named.items() if match and match["split"] == split}
    if not found:
        raise MissingDataError(
            f"{folder} has no embeddings of the split {split}", do="embed the release: hierlandmarks bench embed"
        )
    count = int(next(iter(found.values()))["count"])
    wanted = [shard_path(folder, split, number, count) for number in range(count)]
    if list(found) != wanted or not all(map(is_written, wanted)):
        lacking = [path.name for path in wanted if not is_written(path)]
        raise IncompleteError(
            f"the embeddings of the split {split} in {folder} are not whole",
            got=f"no {lacking[0]}" if lacking else f"shards of {count} and others",
            do="start `hierlandmarks bench embed` again: it goes on where it stopped",
        )
    return wanted


def read_ids(folder: Path, split: str) -> tuple[str, ...]:
    """The ids of a split's embeddings, in the order of its shards; errors as `read_embeddings`."""
    return tuple(id for path in find_shards(folder, split) for id in _ids(path))


def read_embeddings(folder: Path, split: str) -> Embeddings:
    """Read all shards of a split.

    Raises:
        MissingDataError, IncompleteError: as `find_shards`.
        CorruptInputError: a file is no embeddings, or there are not as many ids as vectors.
    """
    parts = [_read(path) for path in find_shards(folder, split)]
    if len({part.vectors.shape[1] for part in parts}) > 1:
        raise CorruptInputError(f"the shards of {split} in {folder} differ in width", do="embed again")
    ids = tuple(id for part in parts for id in part.ids)
    return Embeddings(ids, np.concatenate([part.vectors for part in parts]))


def read_skipped(folder: Path, split: str) -> list[str]:
    """The pictures that were left out of a split, id and reason of each."""
    from safetensors import safe_open

    skipped: list[str] = []
    for path in find_shards(folder, split):
        file: Any = safe_open(str(path), framework="numpy")
        skipped += json.loads((file.metadata() or {}).get("skipped", "[]"))
    return skipped


def _read(path: Path) -> Embeddings:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    ids = _ids(path)
    try:
        vectors = load_file(path)["embeddings"]
    except (SafetensorError, KeyError, OSError) as error:
        raise CorruptInputError(f"{path} holds no embeddings", got=str(error), do="embed again") from error
    if vectors.ndim != 2 or len(ids) != len(vectors):
        raise CorruptInputError(f"{path} does not fit its ids", got=f"{vectors.shape} and {len(ids)}", do="embed again")
    return Embeddings(ids, vectors)


def _ids(path: Path) -> tuple[str, ...]:
    try:
        return tuple(pq.read_table(path.with_suffix(".parquet"), columns=["id"])["id"].to_pylist())
    except (KeyError, pa.ArrowInvalid, OSError) as error:
        raise CorruptInputError(f"{path} has no readable ids beside it", got=str(error), do="embed again") from error


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
