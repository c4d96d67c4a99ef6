"""`hierlandmarks bench submit`: an evaluation becomes an entry of a leaderboard."""

from __future__ import annotations

from pathlib import Path

import click

from hierlandmarks.cli import emit
from hierlandmarks_benchmark import submit as stage

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option("--release", type=FOLDER, required=True, help="Release that the evaluation was made on.")
@click.option("--evaluation", type=FOLDER, required=True, help="Folder with scores.json, made by `bench evaluate`.")
@click.option("--name", help="Name of the entry; by default the one in the evaluation.")
@click.option("--out", type=FOLDER, required=True, help="Folder of submissions.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def submit(release: Path, evaluation: Path, name: str | None, out: Path, as_json: bool) -> None:
    """Check an evaluation and write it as an entry into a folder of submissions."""
    entry = stage.submit(evaluation, release, out, name)
    emit({"name": entry.name, "entry": str(entry)}, as_json, f"entry {entry.name} → {entry}")
