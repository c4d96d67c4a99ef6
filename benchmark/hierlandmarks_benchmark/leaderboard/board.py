"""Entries to board: who is compared with whom, in which order. No HTML here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from hierlandmarks.errors import IncompleteError
from hierlandmarks_benchmark.entries import Entry, Truth
from hierlandmarks_benchmark.leaderboard.metrics import PRIMARY, Metric, shown

FORMAT = 1


@dataclass(frozen=True)
class Ranked:
    """An entry with its place in its table; equal scores share a place."""

    rank: int
    entry: Entry


@dataclass(frozen=True)
class Ranking:
    """Entries that were scored on the same images and labels, best first.

    Attributes:
        track: what is compared, such as a release.
        current: whether this is the track's newest ground truth; older ones are ranked apart.
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
    def metrics(self) -> list[Metric]:
        """The metrics of the table, primary first."""
        return shown({column for row in self.rows for column in row.entry.scores})

    @property
    def graded(self) -> list[Metric]:
        """Those of them that look at the whole hierarchy."""
        return [metric for metric in self.metrics if metric.level is None]

    @property
    def families(self) -> list[list[Metric]]:
        """Those that look at one level, together with the other levels of the same metric."""
        levelled = [metric for metric in self.metrics if metric.level is not None]
        return [list(group) for _, group in groupby(levelled, key=lambda metric: metric.family)]


@dataclass(frozen=True)
class Board:
    """Every ranking: tracks by name, and within a track the current ground truth first."""

    rankings: tuple[Ranking, ...]

    @property
    def entries(self) -> list[Entry]:
        """All entries, in the order of the board."""
        return [row.entry for ranking in self.rankings for row in ranking.rows]


def make_board(entries: Iterable[Entry]) -> Board:
    """Rank entries by H-AP, apart for every track and every ground truth.

    The current ground truth of a track is the one of its newest evaluation. The order of `entries` does not matter.

    Raises:
        IncompleteError: an entry has no H-AP.

    Complexity: O(n log n) for n entries.
    """
    entries = sorted(entries, key=lambda entry: (entry.meta.track, entry.meta.name))
    for entry in entries:
        if primary(entry) is None:
            raise IncompleteError(f"the entry {entry.meta.name} has no {PRIMARY}", do="evaluate it again")
    rankings: list[Ranking] = []
    for track, group in groupby(entries, key=lambda entry: entry.meta.track):
        rankings += _rankings(track, list(group))
    return Board(tuple(rankings))


def primary(entry: Entry) -> float | None:
    """The score that decides an entry's place."""
    score = entry.scores.get(PRIMARY)
    return None if score is None else score.value


def to_json(board: Board) -> dict[str, Any]:
    """The board as plain data, for `board.json`; scores are fractions of 1."""
    return {"format": FORMAT, "primary": PRIMARY, "rankings": [_ranking_json(ranking) for ranking in board.rankings]}


def _rankings(track: str, entries: list[Entry]) -> list[Ranking]:
    by_truth: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in entries:
        by_truth.setdefault(_compared_on(entry), []).append(entry)
    newest_first = sorted(by_truth, key=lambda key: (max(e.meta.date for e in by_truth[key]), str(key)), reverse=True)
    return [Ranking(track, i == 0, _ranked(by_truth[key])) for i, key in enumerate(newest_first)]


def _compared_on(entry: Entry) -> tuple[Any, ...]:
    truth = entry.meta.truth
    return truth.content_hash, truth.query_split, truth.gallery_split, truth.queries, truth.gallery, truth.levels


def _ranked(entries: list[Entry]) -> tuple[Ranked, ...]:
    best_first = sorted(entries, key=lambda entry: (-(primary(entry) or 0.0), entry.meta.name))
    rows: list[Ranked] = []
    for place, entry in enumerate(best_first, start=1):
        shared = bool(rows) and primary(rows[-1].entry) == primary(entry)
        rows.append(Ranked(rows[-1].rank if shared else place, entry))
    return tuple(rows)


def _ranking_json(ranking: Ranking) -> dict[str, Any]:
    return {
        "track": ranking.track,
        "current": ranking.current,
        "truth": asdict(ranking.truth),
        "entries": [
            {
                "rank": row.rank,
                **{key: value for key, value in asdict(row.entry.meta).items() if key not in ("track", "truth")},
                "scores": {column: asdict(score) for column, score in row.entry.scores.items()},
            }
            for row in ranking.rows
        ],
    }
