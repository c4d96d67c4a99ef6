"""Embeddings from files: npy, npz, safetensors or Parquet with ids, put into the order of the track and checked."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from hierlandmarks.errors import CorruptInputError, MissingDataError
from hierlandmarks_benchmark.intake import limits
from hierlandmarks_benchmark.intake.lists import Rankings
from hierlandmarks_benchmark.intake.parquet import open_parquet
from hierlandmarks_benchmark.intake.problems import Problems, quoted
from hierlandmarks_benchmark.intake.truth import GroundTruth, Images
from hierlandmarks_benchmark.vectors import find_shards

Vectors = NDArray[np.float32]


def read_embeddings(folder: Path, truth: GroundTruth) -> tuple[list[Path], Vectors, Vectors | None]:
    """Read and check the embeddings of a track's splits.

    Args:
        folder: holds SPLIT.npz (arrays `ids` and `embeddings`), SPLIT.parquet (columns `id` and `embedding`), or
            SPLIT.npy or SPLIT.safetensors with the ids beside it in SPLIT.txt (one a line) or SPLIT.parquet (`id`); or
            the shards that `bench embed` writes, SPLIT-00000-of-00002.safetensors and so on.
        truth: of the track.

    Returns:
        The files that were read; Q × d and G × d float32 in the order of the track, the latter None where the queries
        are searched among each other.

    Raises:
        MissingDataError: a split has no file.
        CorruptInputError: a file cannot be read, or costs more than `limits` allow.
        RefusedError: ids that are unknown, missing or repeated, vectors that are not finite or of another length.
    """
    problems, files = Problems(), []
    sides: list[Vectors] = []
    for split, images in _sides(truth):
        paths = _find(folder, split)
        with limits.guarded(paths[0], "file of embeddings"):
            parts = [READERS[path.suffix](path) for path in paths]
            files += [file for path, (_, _, beside) in zip(paths, parts, strict=True) for file in (path, *beside)]
            ids, vectors = _joined(paths, [part[:2] for part in parts])
            sides.append(_ordered(paths[0], split, ids, vectors, images, problems))
    if len(sides) == 2 and sides[0].shape[1] != sides[1].shape[1]:
        problems.add(
            f"{folder}: vectors of queries and gallery differ in length; got {sides[0].shape[1]} and "
            f"{sides[1].shape[1]}: embed both with one model"
        )
    problems.settle()
    return files, sides[0], sides[1] if len(sides) == 2 else None


def rank(truth: GroundTruth, queries: Vectors, gallery: Vectors | None) -> Rankings:
    """Rank the gallery for every query by cosine similarity, ties by position.

    Args:
        truth: of the track; a query is left out of its own list.
        queries: Q × d, of any length.
        gallery: G × d, None where the queries are searched among each other.

    Complexity: one product of Q × d and G × d, by blocks.
    """
    from hierlandmarks.metrics import top_rankings

    searched = truth.searched
    mine = _unit(queries)
    lists = top_rankings(
        mine,
        mine if gallery is None else _unit(gallery),
        truth.depth,
        query_ids=truth.queries.ids,
        gallery_ids=searched.ids,
    )
    rows = np.full((len(mine), truth.depth), -1, dtype=np.int32)
    for at, id in enumerate(truth.queries.ids):
        found = searched.ids.get_indexer(pd.Index(lists[id]))
        rows[at, : len(found)] = found
    return Rankings(rows)


def check_vectors(vectors: Any, count: int, where: str) -> Vectors:
    """Vectors as N × d float32.

    Raises:
        CorruptInputError: they are no numbers, not one for each image, too long, or not finite (the row is named).
    """
    array = np.asarray(vectors)
    if array.ndim != 2 or array.dtype.kind != "f" or len(array) != count or not 0 < array.shape[1] <= limits.MOST_WIDTH:
        raise CorruptInputError(
            f"{where} are no embeddings of the images",
            got=f"{array.dtype} of shape {array.shape}",
            expected=f"{count} × d floating-point numbers, d from 1 to {limits.MOST_WIDTH}",
        )
    found = array.astype(np.float32, copy=False)
    bad = ~np.isfinite(found).all(axis=1)
    if bad.any():
        raise CorruptInputError(f"{where} row {int(bad.argmax()) + 1} holds NaN or infinity")
    return found


def _unit(vectors: Vectors) -> Vectors:
    """Rows of length 1; a row of zeros stays, and is like nothing."""
    length = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), dtype=np.float32)


def _sides(truth: GroundTruth) -> Iterator[tuple[str, Images]]:
    yield truth.track.query_split, truth.queries
    if truth.gallery is not None and truth.track.gallery_split is not None:
        yield truth.track.gallery_split, truth.gallery


def _find(folder: Path, split: str) -> list[Path]:
    """The file of a split, or its shards in order."""
    if not folder.is_dir():
        raise MissingDataError(f"there is no folder of embeddings {folder}", do="check the path")
    for ending in READERS:  # Parquet last: it may hold only the ids
        if (folder / f"{split}{ending}").is_file():
            return [folder / f"{split}{ending}"]
    if any(folder.glob(f"{split}-?????-of-?????.safetensors")):
        return find_shards(folder, split)
    raise MissingDataError(
        f"{folder} has no embeddings of the split {split}",
        expected=" or ".join(f"{split}{ending}" for ending in READERS),
    )


def _ordered(path: Path, split: str, ids: list[str], vectors: Any, images: Images, problems: Problems) -> Vectors:
    """The vectors in the order of the split's images."""
    found = check_vectors(vectors, len(ids), str(path))
    rows = images.ids.get_indexer(pd.Index(ids, dtype=object))
    for at in np.flatnonzero(rows < 0):
        problems.add(f"{path} row {at + 1}: {quoted(ids[at])} is no image of the split {split}: remove it")
    for at in np.flatnonzero(pd.Index(rows).duplicated() & (rows >= 0)):
        problems.add(f"{path} row {at + 1}: {quoted(ids[at])} is there twice: keep one")
    missing = np.setdiff1d(np.arange(len(images.ids)), rows)
    if missing.size:
        first = quoted(images.ids[missing[0]])
        problems.add(f"{path} lacks {missing.size} of {len(images.ids)} images of the split {split}, the first {first}")
        return found[:0]
    place = np.full(len(images.ids), -1)
    place[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
    ordered: Vectors = found[place]
    return ordered


def _joined(paths: list[Path], parts: list[tuple[list[str], Any]]) -> tuple[list[str], Any]:
    """The ids and vectors of shards end to end; a single file as it is, unread where it is mapped."""
    if len(parts) == 1:
        return parts[0]
    arrays = [check_vectors(vectors, len(ids), str(path)) for path, (ids, vectors) in zip(paths, parts, strict=True)]
    if len({array.shape[1] for array in arrays}) > 1:
        raise CorruptInputError(f"the shards beside {paths[0]} differ in width", do="embed them with one model")
    return [id for ids, _ in parts for id in ids], np.concatenate(arrays)


def _ids_beside(path: Path) -> tuple[list[str], Path]:
    text, table = path.with_suffix(".txt"), path.with_suffix(".parquet")
    if text.is_file():
        limits.check_size(text)
        return text.read_text(encoding="utf-8").splitlines(), text
    if table.is_file():
        return _text(open_parquet(table).read(columns=["id"], use_threads=False)["id"]), table
    raise MissingDataError(f"{path} has no ids beside it", expected=f"{text.name}, one id a line, or {table.name}")


def _text(column: pa.ChunkedArray) -> list[str]:
    if not pa.types.is_string(column.type) or column.null_count:
        raise CorruptInputError("the ids are no text", got=column.type)
    return [str(id) for id in column.to_pylist()]


def _read_npz(path: Path) -> tuple[list[str], Any, list[Path]]:
    limits.check_size(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.getinfo(f"{name}.npy") for name in ("ids", "embeddings")}
        for member in members.values():
            limits.check_unpacked(path, member.compress_size, member.file_size)
        arrays = {name: _member(archive, member) for name, member in members.items()}
    if arrays["ids"].dtype.kind not in "US" or arrays["ids"].ndim != 1:
        raise CorruptInputError(f"{path}: the ids are no text", got=arrays["ids"].dtype, expected="an array of strings")
    ids = [id.decode() if isinstance(id, bytes) else str(id) for id in arrays["ids"].tolist()]
    return ids, arrays["embeddings"], []


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """One array of an npz; its header may not promise more than the member holds."""
    from numpy.lib import format as npy

    with archive.open(member) as stream:
        version = npy.read_magic(stream)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = header(stream)
        size = dtype.itemsize
        for side in shape:
            size *= side
        if dtype.hasobject or not 0 <= size <= member.file_size:
            raise CorruptInputError(f"{member.filename} is no plain array", got=f"{dtype} of shape {shape}")
    with archive.open(member) as stream:
        array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
        return array


def _read_npy(path: Path) -> tuple[list[str], Any, list[Path]]:
    limits.check_size(path)
    ids, beside = _ids_beside(path)
    return ids, np.load(path, mmap_mode="r", allow_pickle=False), [beside]


def _read_safetensors(path: Path) -> tuple[list[str], Any, list[Path]]:
    from safetensors import safe_open

    limits.check_size(path)
    ids, beside = _ids_beside(path)
    file: Any = safe_open(str(path), framework="numpy")
    with file as tensors:
        names = list(tensors.keys())
        if names != ["embeddings"]:
            raise CorruptInputError(f"{path} has other tensors", got=quoted(names), expected="one named embeddings")
        return ids, tensors.get_tensor("embeddings"), [beside]


def _read_parquet(path: Path) -> tuple[list[str], Any, list[Path]]:
    file = open_parquet(path)
    kind = file.schema_arrow.field("embedding").type
    if not (pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)) or not pa.types.is_floating(kind.value_type):
        raise CorruptInputError(f"{path}: embedding is no column of lists of numbers", got=kind)
    ids: list[str] = []
    parts = []
    for batch in file.iter_batches(1024, columns=["id", "embedding"], use_threads=False):
        ids += _text(pa.chunked_array([batch["id"]]))
        flat = batch["embedding"].flatten()
        if batch["embedding"].null_count or flat.null_count or len(flat) % max(len(batch), 1):
            raise CorruptInputError(f"{path}: the vectors around row {len(ids)} are not all of one length")
        parts.append(flat.to_numpy(zero_copy_only=False).reshape(len(batch), -1))
    return ids, np.concatenate(parts) if parts else np.zeros((0, 0), np.float32), []


READERS: dict[str, Callable[[Path], tuple[list[str], Any, list[Path]]]] = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".safetensors": _read_safetensors,
    ".parquet": _read_parquet,
}
