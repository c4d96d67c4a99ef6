"""Vectors that are dear to make, kept by model and content in HIERLANDMARKS_HOME: nothing is embedded twice."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hierlandmarks.errors import CorruptInputError
from hierlandmarks.releases import home

Vectors = npt.NDArray[np.float32]


class VectorCache:
    """Vectors by key in one SQLite file a model; several processes may share it, and a killed one loses no batch.

    Args:
        kind: folder of HIERLANDMARKS_HOME, such as `text-vectors`.
        name: of the model.
        version: changes whenever its vectors would.
    """

    def __init__(self, kind: str, name: str, version: str) -> None:
        key = hashlib.sha256(f"{name}\0{version}".encode()).hexdigest()[:12]
        folder = home() / kind
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{name.strip('/').replace('/', '--')[-80:]}-{key}.sqlite"

    def __enter__(self) -> VectorCache:
        self._connection = sqlite3.connect(self._path, timeout=60)
        try:
            self._connection.execute("CREATE TABLE IF NOT EXISTS vectors (text TEXT PRIMARY KEY, vector BLOB NOT NULL)")
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise CorruptInputError(f"the cache {self._path} is damaged", got=str(error), do="delete it") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, keys: Sequence[str]) -> dict[str, Vectors]:
        """The vectors of those keys that are known."""
        query = "SELECT vector FROM vectors WHERE text = ?"
        rows = ((key, self._connection.execute(query, (key,)).fetchone()) for key in keys)
        return {key: np.frombuffer(row[0], dtype="<f4") for key, row in rows if row}

    def put(self, keys: Sequence[str], vectors: Vectors) -> None:
        """Keep vectors, all or none of them."""
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in zip(keys, vectors, strict=True)]
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)


def fingerprint(folder: Path) -> str:
    """Names, sizes and times of a model's files: a changed model never meets an old cache."""
    stats = [(path.relative_to(folder).as_posix(), path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    return hashlib.sha256(repr([(name, s.st_size, s.st_mtime_ns) for name, s in stats]).encode()).hexdigest()[:16]
