"""An evaluation on a track: its rankings are scored like anybody's, and it brings along what made them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hierlandmarks.errors import MissingDataError, UsageError
from hierlandmarks.metrics import Report
from hierlandmarks.params import to_mapping
from hierlandmarks.tables import file_sha256, read_json
from hierlandmarks_benchmark.entries import RANKINGS, SCORES
from hierlandmarks_benchmark.intake.handin import write_evaluation
from hierlandmarks_benchmark.intake.kept import as_deep, is_whole, read_kept
from hierlandmarks_benchmark.intake.lists import Rankings
from hierlandmarks_benchmark.intake.score import score
from hierlandmarks_benchmark.intake.truth import GroundTruth
from hierlandmarks_benchmark.submit import EVALUATION, FILES, Submit, read_meta, submit

SAID = ("by", "link", "contamination")


def hand_in_evaluation(
    evaluation: Path,
    truth: GroundTruth,
    out: Path,
    name: str | None,
    said: Mapping[str, str],
    params: Submit,
) -> tuple[Path, Report]:
    """Turn an evaluation into an entry of a track.

    Args:
        evaluation: folder that `bench evaluate` wrote, with its rankings.
        truth: of the track.
        out: the folder of submissions.
        name: of the entry; the evaluation's own where None.
        said: what the one who submits says of it: `by`, `link`, `contamination`.
        params: how much goes with the entry.

    Returns:
        The folder of the entry, and its report.

    Raises:
        MissingDataError: the evaluation kept no rankings.
        UsageError: it was made on other images or labels, or kept fewer results than the track counts.
        HierlandmarksError: see `submit`.
    """
    for file in (*FILES, RANKINGS):
        if not (evaluation / file).is_file():
            raise MissingDataError(f"{evaluation} lacks {file}", do="make it with `bench evaluate`")
    meta = read_meta(read_json(evaluation / SCORES), evaluation, name)
    if meta.truth.content_hash != truth.content_hash:
        raise UsageError(
            f"{evaluation} was not made on the release of the track {truth.track.name}",
            got=f"content hash {meta.truth.content_hash[:12]}…", expected=f"{truth.content_hash[:12]}…",
            do="evaluate on this release",
        )  # fmt: skip
    rankings = read_kept(evaluation / RANKINGS, truth)
    if not is_whole(rankings, truth):
        raise UsageError(
            f"{evaluation} kept too few results for the track {truth.track.name}",
            got=rankings.rows.shape[1], expected=truth.depth, do="hand in the embeddings with --embeddings",
        )  # fmt: skip
    inputs = {file: file_sha256(evaluation / file) for file in (*FILES, RANKINGS)}
    about = {"model": to_mapping(meta.model), "submission": {**said, "source": EVALUATION, "inputs": inputs}}
    return write(meta.name, rankings, truth, about, out, params)


def write(
    name: str,
    rankings: Rankings,
    truth: GroundTruth,
    about: Mapping[str, Any],
    out: Path,
    params: Submit,
    *,
    replaces: bool = False,
) -> tuple[Path, Report]:
    """Score rankings as deep as the track counts, and write them as an entry.

    Args:
        name: of the entry.
        rankings: as deep as they go.
        truth: of the track.
        about: `model` and `submission`, as `write_evaluation` takes them.
        out: the folder of submissions.
        params: how much goes with the entry.
        replaces: take the place of the entry of that name.
    """
    report = score(as_deep(rankings, truth), truth)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / name
        write_evaluation(home, rankings, report, truth, about)
        return submit(home, truth.release, out, name, params, replaces=replaces), report
