"""`hierlandmarks bench leaderboard`: a folder of submissions becomes a page."""

from __future__ import annotations

from pathlib import Path

import click

from hierlandmarks.cli import emit
from hierlandmarks_benchmark import leaderboard as stage

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option("--submissions", type=FOLDER, required=True, help="Folder of entries, made by `bench submit`.")
@click.option("--out", type=FOLDER, required=True, help="Folder for index.html, board.json and README.md.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout: the whole board.")
def leaderboard(submissions: Path, out: Path, as_json: bool) -> None:
    """Build the leaderboard: one page that opens without a server, the same as JSON, and a table in Markdown."""
    board = stage.build(submissions, out)
    emit(stage.to_json(board), as_json, f"leaderboard of {len(board.entries)} entries → {out / 'index.html'}")
