"""What a reader should know of entries that scores do not say: twins, and entries that the log does not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hierlandmarks.metrics.relevance import Floats
from hierlandmarks.tables import file_sha256
from hierlandmarks_benchmark.entries import META, Entry
from hierlandmarks_benchmark.entries.log import logged
from hierlandmarks_benchmark.intake.score import PERFECT

SAME = 0.99  # share of queries with equal scores from which two entries are near-identical
FEW = 5  # queries under which equal scores say little


def twins(values: Floats) -> dict[int, int]:
    """Entries that score the same as an earlier one on nearly every query.

    Args:
        values: Q × n scores, a column an entry.

    Returns:
        Column → the first column that it equals. Queries that both find perfectly, or nothing for, say nothing.

    Complexity: O(Q · n²) comparisons.
    """
    found: dict[int, int] = {}
    told = (values > 0) & (values < 1)
    for column in range(1, values.shape[1]):
        either = told[:, :column] | told[:, column : column + 1]
        same = ((values[:, :column] == values[:, column : column + 1]) & either).sum(axis=0)
        alike = (same >= FEW) & (same >= SAME * either.sum(axis=0))
        if alike.any():
            found[column] = int(alike.argmax())
    return found


def perfect(entry: Entry) -> Entry:
    """The entry, noted where its primary score is perfect, whatever it says of itself."""
    score = entry.scores[entry.meta.primary].value
    noted = score is None or score < 1 - 1e-9 or PERFECT in entry.notes
    return entry if noted else with_note(entry, PERFECT)


def with_note(entry: Entry, note: str) -> Entry:
    """The entry with one more note."""
    return replace(entry, notes=(*entry.notes, note))


def check_log(submissions: Path, entries: Sequence[Entry]) -> list[Entry]:
    """Note the entries that are not as the log of their folder has them; all are taken as they are without a log.

    Raises:
        CorruptInputError: the log does not hold together.
    """
    known = logged(submissions)
    if known is None:
        return list(entries)
    return [
        entry
        if known.get(entry.meta.name) == file_sha256(submissions / entry.meta.name / META)
        else with_note(entry, "not as the log of submissions has it")
        for entry in entries
    ]
