"""Entries brought up to date: their own rankings scored again, on the ground truth of now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hierlandmarks.errors import UsageError
from hierlandmarks.metrics.columns import BINARY, GRADED
from hierlandmarks.params import to_mapping
from hierlandmarks_benchmark.entries import RANKINGS, Entry, read_entries
from hierlandmarks_benchmark.intake.evaluated import SAID, write
from hierlandmarks_benchmark.intake.handin import RANKED
from hierlandmarks_benchmark.intake.kept import as_deep, check_scores, is_whole, read_kept
from hierlandmarks_benchmark.intake.lists import Rankings
from hierlandmarks_benchmark.intake.rankings import read_rankings
from hierlandmarks_benchmark.intake.score import OFFICIAL, score
from hierlandmarks_benchmark.intake.truth import GroundTruth
from hierlandmarks_benchmark.submit import Submit


def rescore(submissions: Path, truth: GroundTruth) -> dict[str, str]:
    """Score every entry of a track again and put it in its own place; the log gets a line for each.

    An entry whose scores are those of this ground truth already is checked and left as it is. An entry may keep
    fewer results than were ranked and the track counts: its scores are then checked as far as those go, and it cannot
    be brought to another ground truth.

    Args:
        submissions: folder of entries.
        truth: of the track, current.

    Returns:
        Name of every entry of the track → `up to date`, `rescored`, or why it cannot be.

    Raises:
        HierlandmarksError: an entry is broken, its scores are not those of its rankings, or its rankings no longer fit
            the ground truth; entries before it stay rescored.
    """
    entries = [entry for entry in read_entries(submissions) if entry.meta.track == truth.track.name]
    if not entries:
        raise UsageError(f"{submissions} has no entry of the track {truth.track.name}", do="check --track")
    return {entry.meta.name: _rescore(entry, submissions, truth) for entry in entries}


def _rescore(entry: Entry, submissions: Path, truth: GroundTruth) -> str:
    meta, path = entry.meta, submissions / entry.meta.name / RANKINGS
    if not path.is_file():
        return "cannot be rescored: it holds no rankings"
    # lists that were handed in may end early; all others rank everything, and end where no more was kept
    rankings = read_rankings(path, truth) if meta.source == RANKED else read_kept(path, truth)
    if meta.source != RANKED and not is_whole(rankings, truth):
        return _check(entry, rankings, truth, str(path))
    if _is_current(entry, truth) and _same_scores(entry, rankings, truth):
        return "up to date"
    said = {key: getattr(meta, key) for key in (*SAID, "source", "inputs")}
    params = Submit(examples=len(entry.examples), keep=rankings.rows.shape[1])
    about = {"model": to_mapping(meta.model), "submission": said}
    write(meta.name, rankings, truth, about, submissions, params, replaces=True)
    return "rescored"


def _check(entry: Entry, rankings: Rankings, truth: GroundTruth, where: str) -> str:
    """What can be said of an entry that keeps too few results to be scored again."""
    kept, primary = f"it keeps {rankings.rows.shape[1]} results a query", truth.track.primary
    if not _is_current(entry, truth):
        return f"cannot be rescored: {kept}, and {primary} counts {truth.depth}; submit it again from its embeddings"
    stated = {column: found.value for column, found in entry.scores.items()}
    decided = check_scores(rankings, truth, stated, where)
    return f"up to date: {kept}, which decide {decided} of its {len(stated)} scores; those are right"


def _is_current(entry: Entry, truth: GroundTruth) -> bool:
    """Whether an entry says that it was scored on this ground truth, as its track is now."""
    stated, track = entry.meta.truth, truth.track
    return (stated.content_hash, stated.solution, stated.depth, entry.meta.primary) == (
        truth.content_hash,
        truth.solution_hash,
        track.depth,
        track.primary,
    )


def _same_scores(entry: Entry, rankings: Rankings, truth: GroundTruth) -> bool:
    """Whether all that an entry states, and all that its track asks for, is what its rankings give."""
    stated = {column: found.value for column, found in entry.scores.items() if found.value is not None}
    metrics = tuple(sorted({*truth.track.metrics, *map(_family, entry.scores)} - {""}))
    report = score(as_deep(rankings, truth), replace(truth, track=replace(truth.track, metrics=metrics)))
    found = {column: value for column, value in report.mean.items() if value == value}
    asked = {column for column in found if _family(column) in truth.track.metrics}
    return asked <= stated.keys() <= found.keys() and all(abs(found[c] - stated[c]) < 1e-9 for c in stated)


def _family(column: str) -> str:
    """The metric of a column of scores; "" for one that comes from the official solution.

    >>> _family("map_at_r_0"), _family("map_at_100_0"), _family("h_ap")
    ('map_at_r', 'map_at', 'h_ap')
    """
    if column.startswith(OFFICIAL):
        return ""
    return max((f for f in (*GRADED, *BINARY) if column == f or column.startswith(f"{f}_")), key=len, default="")
