"""`hierlandmarks bench leaderboard`: a folder of submissions becomes a page."""

from __future__ import annotations

from pathlib import Path

import click

from hierlandmarks.cli import emit
from hierlandmarks.errors import UsageError
from hierlandmarks.progress import say
from hierlandmarks_benchmark import leaderboard as stage

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--submissions", type=FOLDER, required=True, help="Folder of entries, made by `bench submit`.")
@click.option("--out", type=FOLDER, required=True, help="Folder for index.html, board.json and README.md.")
@click.option("--readme", type=FILE, help="Page of yours: its tables between the marks of the leaderboard are renewed.")
@click.option("--rescore", is_flag=True, help="First score the entries of a track again, on the ground truth of now.")
@click.option("--track", help="Track to rescore.")
@click.option("--release", help="Release to rescore on; by default the one the track names.")
@click.option("--ground-truth", type=FILE, help="Official solution (id,images,Usage), wherever it lies.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout: the whole board.")
def leaderboard(
    submissions: Path,
    out: Path,
    readme: Path | None,
    rescore: bool,
    track: str | None,
    release: str | None,
    ground_truth: Path | None,
    as_json: bool,
) -> None:
    """Build the leaderboard: pages that open without a server, the same as JSON, and a table in Markdown."""
    if rescore:
        _rescore(submissions, track, release, ground_truth)
    elif track or release or ground_truth:
        raise UsageError("--track, --release and --ground-truth belong to --rescore", do="add --rescore")
    board = stage.build(submissions, out)
    if readme:
        stage.renew(readme, board)
    emit(stage.to_json(board), as_json, f"leaderboard of {len(board.entries)} entries → {out / 'index.html'}")


def _rescore(submissions: Path, track: str | None, release: str | None, ground_truth: Path | None) -> None:
    from hierlandmarks_benchmark.intake.rescore import rescore
    from hierlandmarks_benchmark.intake.truth import find_truth

    for name, outcome in rescore(submissions, find_truth(track, release, ground_truth)).items():
        say(f"  {name}: {outcome}")
