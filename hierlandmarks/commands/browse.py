"""`hierlandmarks browse NAME|FOLDER`."""

from __future__ import annotations

from pathlib import Path

import click

from hierlandmarks.cli import emit


@click.command()
@click.argument("release", metavar="NAME|FOLDER")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="HTML file to write.")
@click.option("--split", help="Only this split.")
@click.option("--each", default=8, show_default=True, type=click.IntRange(1), help="Most images of a label.")
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), help="Folder with the tars or pictures.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def browse(release: str, out: Path, split: str | None, each: int, root: Path | None, as_json: bool) -> None:
    """Write a static page of a dataset, one self-contained file: thumbnails by label, with their credits."""
    from hierlandmarks.browse import page, shelves
    from hierlandmarks.dataset import load
    from hierlandmarks.describe import describe
    from hierlandmarks.tables import write_text

    dataset = load(release, split, root=root)
    found = shelves(dataset, each)
    write_text(out, page(dataset, found, describe(dataset)))
    shown = sum(len(shelf.thumbnails) for shelf in found)
    emit(
        {"page": str(out), "labels": len(found), "images": shown},
        as_json,
        f"{shown} images of {len(found)} labels\n{out}",
    )
