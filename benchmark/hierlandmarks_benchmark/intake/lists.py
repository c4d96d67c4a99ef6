"""Ranked lists, checked as they are read and kept as rows of the gallery."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hierlandmarks_benchmark.intake.problems import Problems, quoted
from hierlandmarks_benchmark.intake.truth import GroundTruth, Ints

Rows = NDArray[np.int32]


@dataclass(frozen=True)
class Rankings:
    """Q × K rows of the gallery, best first, −1 after the end of a list; in the order of the track's queries."""

    rows: Rows


class Lists:
    """Takes the lists of a file block by block.

    Every list is checked, those of queries that are not scored too; only the scored ones are kept.

    Complexity: O(n log n) for a block of n ids, and one hash table of the gallery a block.
    """

    def __init__(self, truth: GroundTruth, where: str, unit: str = "line") -> None:
        self.truth, self.where, self.unit, self.problems = truth, where, unit, Problems()
        self._queries = pa.array([*truth.queries.ids, *truth.ignored], pa.string())
        self._gallery = pa.array(truth.searched.ids, pa.string())
        self._seen, self._strays = np.zeros(len(self._queries), dtype=bool), False
        self._rows = np.full((len(truth.queries.ids), truth.depth), -1, dtype=np.int32)

    def add(self, numbers: Ints, queries: pa.Array, counts: Ints, items: pa.Array, places: Ints | None = None) -> None:
        """Take lists.

        Args:
            numbers: N, the line or row of each in its file.
            queries: N query ids.
            counts: N lengths.
            items: the ids of all lists, one after the other.
            places: the line of each item, where it has one of its own.
        """
        query, item = _find(queries, self._queries), _find(items, self._gallery)
        ends = np.cumsum(counts)
        starts = ends - counts
        new = self._check_queries(numbers, queries, query)
        self._check_lengths(numbers, counts)
        owner = np.repeat(np.arange(len(counts)), counts)
        self._check_items(numbers[owner] if places is None else places, owner, items, item)
        for at in np.flatnonzero(new & (query < len(self._rows))):
            found = item[starts[at] : ends[at]][: self.truth.depth]
            self._rows[query[at], : len(found)] = found

    def finish(self) -> Rankings:
        """The lists of every scored query.

        Raises:
            RefusedError: there was a problem, or a scored query has no list.
        """
        missing = np.flatnonzero(~self._seen[: len(self._rows)])
        if missing.size:
            first = quoted(self.truth.queries.ids[missing[0]])
            self.problems.add(
                f"{self.where} lacks {missing.size} of {len(self._rows)} queries, the first {first}: list all of them"
            )
        self.problems.settle()
        return Rankings(self._rows)

    def _check_queries(self, numbers: Ints, queries: pa.Array, query: Ints) -> NDArray[np.bool_]:
        for at in np.flatnonzero(query < 0):
            id = str(queries[at])
            ignored = "" if self.truth.ignored else ", or give the official solution, which names those not scored"
            self.problems.add(
                f"{self.where} {self.unit} {numbers[at]}: {quoted(id)} is no query of the track {self.truth.track.name}"
                f"{self.hint(id)}: remove it{ignored}"
            )
        first = np.zeros(len(query), dtype=bool)
        first[np.unique(query, return_index=True)[1]] = True
        new = first & (query >= 0)
        new[new] = ~self._seen[query[new]]
        for at in np.flatnonzero(~new & (query >= 0)):
            self.problems.add(
                f"{self.where} {self.unit} {numbers[at]}: the query {quoted(queries[at])} is listed twice: list it once"
            )
        self._seen[query[new]] = True
        return new

    def _check_lengths(self, numbers: Ints, counts: Ints) -> None:
        most = self.truth.depth if self.truth.track.depth else len(self._gallery)
        for at in np.flatnonzero(counts > most):
            self.problems.add(
                f"{self.where} {self.unit} {numbers[at]}: too many results; got {counts[at]}, expected at most {most}"
            )

    def _check_items(self, places: Ints, owner: Ints, items: pa.Array, item: Ints) -> None:
        for at in np.flatnonzero(item < 0):
            id = str(items[at])
            self.problems.add(
                f"{self.where} {self.unit} {places[at]}: {quoted(id)} is no image of the gallery{self.hint(id)}: "
                "remove it"
            )
        key = owner * len(self._gallery) + item
        key[item < 0] = -1 - np.flatnonzero(item < 0)  # an unknown id is no repeat
        order = np.argsort(key, kind="stable")
        for at in np.sort(order[1:][key[order][1:] == key[order][:-1]]):
            self.problems.add(
                f"{self.where} {self.unit} {places[at]}: {quoted(items[at])} is listed twice: list it once"
            )

    def hint(self, id: str) -> str:
        """Where a stray id is from, looked up for the first one only."""
        first, self._strays = not self._strays, True
        return self.truth.whereabouts(id) if first else ""


def _find(values: pa.Array, known: pa.Array) -> Ints:
    """Where each value stands among the known ones, −1 where it does not."""
    found = pc.fill_null(pc.index_in(values, value_set=known), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64)
