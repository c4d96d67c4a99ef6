"""`hierlandmarks bench export-codabench`: a track becomes a competition to upload to Codabench."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from hierlandmarks.cli import emit


@click.command("export-codabench")
@click.option("--track", required=True, help="Track, such as mini, or the file of your own.")
@click.option("--release", help="Release with labels; by default the one the track names.")
@click.option("--ground-truth", type=click.Path(dir_okay=False, path_type=Path), help="Official solution, if any.")
@click.option("--image", default="python:3.11-slim", show_default=True, help="Docker image that the scoring runs in.")
@click.option("--start", type=click.DateTime(["%Y-%m-%d"]), help="First day of submissions; today by default.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder (replaced).")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def export_codabench(
    track: str,
    release: str | None,
    ground_truth: Path | None,
    image: str,
    start: datetime | None,
    out: Path,
    as_json: bool,
) -> None:
    """Write a track as a Codabench competition: bundle.zip and its files beside it. Labels go along, no pictures."""
    from hierlandmarks_benchmark.codabench import export
    from hierlandmarks_benchmark.intake.truth import find_truth

    truth = find_truth(track, release, ground_truth)
    bundle = export(truth, out, (start or datetime.now(UTC)).date(), image, ground_truth)
    emit({"track": truth.track.name, "bundle": str(bundle)}, as_json, f"{truth.track.name} → {bundle}, to be uploaded")
