"""Entries to board: who is compared with whom, in which order. No HTML here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from hierlandmarks.errors import IncompleteError
from hierlandmarks.metrics.relevance import Floats
from hierlandmarks_benchmark.entries import Entry, Truth
from hierlandmarks_benchmark.leaderboard.groups import groups
from hierlandmarks_benchmark.leaderboard.metrics import Metric, shown
from hierlandmarks_benchmark.leaderboard.notes import perfect, twins, with_note
from hierlandmarks_benchmark.leaderboard.strengths import Strength, strengths
from hierlandmarks_benchmark.tracks import pins

FORMAT = 2


@dataclass(frozen=True)
class Ranked:
    """An entry with its place in its table.

    Attributes:
        rank: its place by score; equal scores share one.
        entry: the entry.
        group: first and last place of the neighbours it cannot be told from.
        strengths: its score label by label, weakest first.
    """

    rank: int
    entry: Entry
    group: tuple[int, int]
    strengths: tuple[Strength, ...]

    @property
    def place(self) -> str:
        """The group in words: one place, or a range of them."""
        first, last = self.group
        return str(first) if first == last else f"{first}–{last}"


@dataclass(frozen=True)
class Ranking:
    """Entries that were scored on the same images and labels, best first.

    Attributes:
        track: what is compared, such as a release.
        current: whether this is the track's current ground truth; others are ranked apart.
        rows: the entries.
    """

    track: str
    current: bool
    rows: tuple[Ranked, ...]

    @property
    def truth(self) -> Truth:
        """The ground truth that all rows share."""
        return self.rows[0].entry.meta.truth

    @property
    def primary(self) -> str:
        """The column that ranks them."""
        return self.rows[0].entry.meta.primary

    @cached_property
    def primary_values(self) -> Floats:
        """Q × n primary scores, query by query, a column an entry."""
        return _values([row.entry for row in self.rows])

    @property
    def primary_name(self) -> str:
        """As the board writes it."""
        return next((metric.name for metric in self.metrics if metric.column == self.primary), self.primary)

    @cached_property
    def metrics(self) -> list[Metric]:
        """The metrics of the table, primary first."""
        return shown({column for row in self.rows for column in row.entry.scores})

    @cached_property
    def graded(self) -> list[Metric]:
        """Those of them that look at the whole hierarchy."""
        return [metric for metric in self.metrics if metric.level is None]

    @cached_property
    def families(self) -> list[list[Metric]]:
        """Those that look at one level, together with the other levels of the same metric."""
        levelled = [metric for metric in self.metrics if metric.level is not None]
        return [list(group) for _, group in groupby(levelled, key=lambda metric: metric.family)]


@dataclass(frozen=True)
class Board:
    """Every ranking: tracks by name, and within a track the current ground truth first, then the newest."""

    rankings: tuple[Ranking, ...]

    @property
    def entries(self) -> list[Entry]:
        """All entries, in the order of the board."""
        return [row.entry for ranking in self.rankings for row in ranking.rows]


def make_board(entries: Iterable[Entry]) -> Board:
    """Rank entries by the primary metric of their track, apart for every track and every ground truth.

    The current ground truth of a track is the one its file pins, or where no entry has that, the one of its newest
    evaluation. The order of `entries` does not matter.

    Raises:
        IncompleteError: an entry has no primary score, or other queries than the others of its ground truth.

    Complexity: O(queries · n²) for n entries of a ranking, to find twins; see `groups` for the rest.
    """
    entries = sorted(entries, key=lambda entry: (entry.meta.track, entry.meta.name))
    for entry in entries:
        if primary(entry) is None:
            raise IncompleteError(f"the entry {entry.meta.name} has no {entry.meta.primary}", do="evaluate it again")
    rankings: list[Ranking] = []
    for track, group in groupby(entries, key=lambda entry: entry.meta.track):
        rankings += _rankings(track, list(group))
    return Board(tuple(rankings))


def primary(entry: Entry) -> float | None:
    """The score that decides an entry's place."""
    score = entry.scores.get(entry.meta.primary)
    return None if score is None else score.value


def to_json(board: Board) -> dict[str, Any]:
    """The board as plain data, for `board.json`; scores are fractions of 1."""
    return {"format": FORMAT, "rankings": [_ranking_json(ranking) for ranking in board.rankings]}


def _rankings(track: str, entries: list[Entry]) -> list[Ranking]:
    by_truth: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in entries:
        by_truth.setdefault(_compared_on(entry), []).append(entry)
    pinned = pins().get(track)

    def rank(key: tuple[Any, ...]) -> tuple[bool, str, str]:
        group = by_truth[key]
        return group[0].meta.truth.content_hash == pinned, max(entry.meta.date for entry in group), str(key)

    first_current = sorted(by_truth, key=rank, reverse=True)
    return [Ranking(track, i == 0, _ranked(by_truth[key])) for i, key in enumerate(first_current)]


def _compared_on(entry: Entry) -> tuple[Any, ...]:
    truth = entry.meta.truth
    return (
        entry.meta.primary,
        truth.depth,
        truth.solution,
        truth.content_hash,
        truth.query_split,
        truth.gallery_split,
        truth.queries,
        truth.gallery,
        truth.levels,
    )


def _ranked(entries: list[Entry]) -> tuple[Ranked, ...]:
    best_first = sorted(map(perfect, entries), key=lambda entry: (-(primary(entry) or 0.0), entry.meta.name))
    values = _values(best_first)
    for later, earlier in twins(values).items():
        best_first[later] = with_note(best_first[later], f"near-identical to {best_first[earlier].meta.name}")
    rows: list[Ranked] = []
    by_label = strengths(best_first[0].per_query.labels, values)
    for place, (entry, group, good) in enumerate(zip(best_first, groups(values), by_label, strict=True), start=1):
        shared = bool(rows) and primary(rows[-1].entry) == primary(entry)
        rows.append(Ranked(rows[-1].rank if shared else place, entry, group, tuple(good)))
    return tuple(rows)


def _values(entries: list[Entry]) -> Floats:
    """Q × n primary scores of entries that were scored on the same queries."""
    for entry in entries:
        if entry.per_query.ids != entries[0].per_query.ids:
            raise IncompleteError(
                f"{entry.meta.name} and {entries[0].meta.name} have one ground truth and not the same queries",
                do="submit them again",
            )
    return np.stack([entry.per_query.values[entry.meta.primary] for entry in entries], axis=1)


def _ranking_json(ranking: Ranking) -> dict[str, Any]:
    return {
        "track": ranking.track,
        "current": ranking.current,
        "primary": ranking.primary,
        "truth": asdict(ranking.truth),
        "entries": [
            {
                "rank": row.rank,
                "group": list(row.group),
                "notes": list(row.entry.notes),
                **{key: value for key, value in asdict(row.entry.meta).items() if key not in ("track", "truth")},
                "scores": {column: asdict(score) for column, score in row.entry.scores.items()},
            }
            for row in ranking.rows
        ],
    }
