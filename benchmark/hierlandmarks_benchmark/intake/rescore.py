"""Entries brought up to date: their own rankings scored again, on the ground truth of now."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hierlandmarks.errors import UsageError
from hierlandmarks.params import to_mapping
from hierlandmarks_benchmark.entries import RANKINGS, Entry, read_entries
from hierlandmarks_benchmark.intake.handin import write_evaluation
from hierlandmarks_benchmark.intake.rankings import read_rankings
from hierlandmarks_benchmark.intake.score import score
from hierlandmarks_benchmark.intake.truth import GroundTruth
from hierlandmarks_benchmark.submit import submit


def rescore(submissions: Path, truth: GroundTruth) -> dict[str, str]:
    """Score every entry of a track again and put it in its own place; the log gets a line for each.

    An entry whose scores are those of this ground truth already is checked and left as it is.

    Args:
        submissions: folder of entries.
        truth: of the track, current.

    Returns:
        Name of every entry of the track → `up to date`, `rescored`, or why it cannot be.

    Raises:
        HierlandmarksError: an entry is broken, or its rankings no longer fit the ground truth; entries before it stay
            rescored.
    """
    entries = [entry for entry in read_entries(submissions) if entry.meta.track == truth.track.name]
    if not entries:
        raise UsageError(f"{submissions} has no entry of the track {truth.track.name}", do="check --track")
    return {entry.meta.name: _rescore(entry, submissions, truth) for entry in entries}


def _rescore(entry: Entry, submissions: Path, truth: GroundTruth) -> str:
    meta, home = entry.meta, submissions / entry.meta.name
    if not (home / RANKINGS).is_file():
        return "cannot be rescored: it holds no rankings"
    rankings = read_rankings(home / RANKINGS, truth)
    report = score(rankings, truth)
    same = {column: value for column, value in report.mean.items() if value == value}
    stated = {column: found.value for column, found in entry.scores.items() if found.value is not None}
    current = (meta.truth.content_hash, meta.truth.solution, meta.truth.depth, meta.primary)
    if current == (truth.content_hash, truth.solution_hash, truth.track.depth, truth.track.primary) and _close(
        same, stated
    ):
        return "up to date"
    said = {key: getattr(meta, key) for key in ("by", "link", "contamination", "source", "inputs")}
    with tempfile.TemporaryDirectory() as folder:
        evaluation = Path(folder) / meta.name
        write_evaluation(evaluation, rankings, report, truth, {"model": to_mapping(meta.model), "submission": said})
        submit(evaluation, truth.release, submissions, meta.name, replaces=True)
    return "rescored"


def _close(first: dict[str, float], second: dict[str, float]) -> bool:
    return first.keys() == second.keys() and all(abs(first[key] - second[key]) < 1e-9 for key in first)
