"""A ground truth as small files, labels and no pictures: what a scorer elsewhere needs to score as `submit` does."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hierlandmarks.errors import MissingDataError
from hierlandmarks.metrics.kaggle import read_solution
from hierlandmarks.params import from_mapping
from hierlandmarks.tables import file_sha256, read_json, write_json, write_parquet
from hierlandmarks_benchmark.intake.truth import GroundTruth, Images
from hierlandmarks_benchmark.tracks import Track

TRACK, QUERIES, GALLERY, SOLUTION = "track.json", "queries.parquet", "gallery.parquet", "solution.csv"
LEVEL = "level_"  # columns level_0 (finest) …


def write_reference(truth: GroundTruth, folder: Path, solution: Path | None = None) -> None:
    """Write a ground truth into a folder.

    Args:
        truth: of a track.
        folder: existing; gets `track.json`, `queries.parquet`, and where they are `gallery.parquet`, `solution.csv`.
        solution: the official solution that the ground truth was loaded with.
    """
    track = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(truth.track).items()}
    write_json(folder / TRACK, {"content_hash": truth.content_hash, "ignored": list(truth.ignored), "track": track})
    _write(folder / QUERIES, truth.queries)
    if truth.gallery is not None:
        _write(folder / GALLERY, truth.gallery)
    if solution is not None:
        (folder / SOLUTION).write_bytes(solution.read_bytes())


def read_reference(folder: Path) -> GroundTruth:
    """Read what `write_reference` wrote; the same ground truth but for where its release lies.

    Raises:
        MissingDataError: the folder holds no ground truth.
    """
    if not (folder / TRACK).is_file():
        raise MissingDataError(f"{folder} holds no ground truth: it lacks {TRACK}", do="export the bundle again")
    about, solution = read_json(folder / TRACK), folder / SOLUTION
    known = solution.is_file()
    return GroundTruth(
        track=from_mapping(Track, about["track"], where=str(folder / TRACK)),
        content_hash=about["content_hash"],
        queries=_read(folder / QUERIES),
        gallery=_read(folder / GALLERY) if (folder / GALLERY).is_file() else None,
        ignored=tuple(about["ignored"]),
        solution=read_solution(solution) if known else None,
        solution_hash=file_sha256(solution) if known else "",
    )


def _write(path: Path, images: Images) -> None:
    columns = {"id": pa.array(images.ids, pa.string()), "part": pa.array(images.parts, pa.string())}
    levels = {f"{LEVEL}{c}": pa.array(column) for c, column in enumerate(images.labels.T)}
    write_parquet(path, pa.table(columns | levels))


def _read(path: Path) -> Images:
    table = pq.read_table(path)
    depth = sum(name.startswith(LEVEL) for name in table.column_names)
    labels = np.stack([table[f"{LEVEL}{c}"].to_numpy() for c in range(depth)], axis=1)
    ids = pd.Index(table["id"].to_numpy(zero_copy_only=False))
    return Images(ids, labels, tuple(table["part"].to_pylist()))
