"""Landmarks, and where the categories of each lead, on disk: memory does not grow with their number."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from hierlandmarks.errors import IncompleteError, TableError
from hierlandmarks_pipelines.wikimedia.titles import category_title

SLICE = 2_000  # landmarks looked at as Python objects at a time
_CACHE = 4096  # KiB that SQLite keeps in memory, whatever the landmarks
_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA cache_size = -{cache};
CREATE TABLE landmarks (space TEXT, landmark_id TEXT, category TEXT, title TEXT, PRIMARY KEY (space, landmark_id))
    WITHOUT ROWID;
CREATE TABLE routes (title TEXT PRIMARY KEY, route TEXT) WITHOUT ROWID;
"""


class Landmarks:
    """A scratch table of landmarks, keyed and sorted as `schema.CATEGORIES`, that is gone when it is closed.

    It is a temporary database of SQLite's: in TMPDIR, else in /var/tmp or /tmp, about 400 bytes a landmark. The file
    has no name, so a kill leaves nothing behind.

    Raises:
        IncompleteError: by every method, when there is no room for it.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(_TABLES.format(cache=_CACHE))

    def add(self, part: pa.Table, where: str = "categories") -> None:
        """Add landmarks (columns space, landmark_id, category; `row`, where there is one, is their row for messages).

        Raises:
            TableError: a landmark is there already.
        """
        for rows in slices(part):
            self._insert(rows.to_pylist(), where)

    def _insert(self, landmarks: list[dict[str, Any]], where: str) -> None:
        taken: list[dict[str, Any]] = []

        def values() -> Iterator[tuple[str, str, str, str]]:
            for one in landmarks:
                taken.append(one)
                yield one["space"], one["landmark_id"], one["category"], category_title(one["category"])

        try:
            self._write("INSERT INTO landmarks VALUES (?, ?, ?, ?)", values())
        except sqlite3.IntegrityError as error:
            twin = taken[-1]
            row = f" row {twin['row']}" if "row" in twin else ""
            raise TableError(
                f"{where}{row}: the {twin['space']} landmark {twin['landmark_id']} is repeated",
                expected="one row each",
                do="remove one of them",
            ) from error

    def _write(self, statement: str, values: Iterator[tuple[str, ...]]) -> None:
        """All of these rows in one transaction."""
        try:
            self._db.execute("BEGIN")
            self._db.executemany(statement, values)
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise IncompleteError(
                "the scratch file of mining cannot be written", got=str(error), do="make room, or set TMPDIR"
            ) from error

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM landmarks").fetchone()[0])

    def titles(self) -> Iterator[str]:
        """The titles of their categories, each once, sorted; routes may be added meanwhile."""
        found = self._db.execute("SELECT DISTINCT title FROM landmarks WHERE title != '' ORDER BY title")
        return (title for (title,) in found)

    def add_routes(self, routes: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep where titles lead; see `routes.find_routes`."""
        packed = ((title, json.dumps(route, ensure_ascii=False)) for title, route in routes.items())
        self._write("INSERT INTO routes VALUES (?, ?)", packed)

    def routed(self) -> Iterator[list[tuple[dict[str, str], dict[str, Any] | None]]]:
        """Every landmark (space, landmark_id, category, title) with its route if it has one, by key, in slices."""
        found = self._db.execute(
            "SELECT space, landmark_id, category, title, route FROM landmarks LEFT JOIN routes USING (title)"
            " ORDER BY space, landmark_id"
        )
        names = ("space", "landmark_id", "category", "title")
        while rows := found.fetchmany(SLICE):
            yield [(dict(zip(names, own, strict=True)), json.loads(route) if route else None) for *own, route in rows]

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def slices(table: pa.Table, rows: int = SLICE) -> Iterator[pa.Table]:
    """A table in parts of at most so many rows, to look at as Python objects one part at a time."""
    return (table.slice(start, rows) for start in range(0, table.num_rows, rows))
