"""`hierlandmarks fetch metadata|images`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from hierlandmarks.cli import emit


@click.command()
@click.argument("what", nargs=-1, required=True, type=click.Choice(["metadata", "images"]))
@click.option("--split", "splits", multiple=True, type=click.Choice(["train", "index", "test"]), help="Whose images.")
@click.option("--shards", default="", metavar="LIST", help="Numbers of tars, such as 0,7-9 [default: all].")
@click.option("--ids", type=click.Path(path_type=Path), help="File of image ids: only the tars that hold them.")
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), help="[default: gldv2 in HIERLANDMARKS_HOME]")
@click.option("--base-url", multiple=True, help="Mirror; may be repeated [env: HIERLANDMARKS_BASE_URL].")
@click.option(
    "--jobs", default=2, show_default=True, type=click.IntRange(1, 16), help="Files at once; four from one host."
)
@click.option("--extract", is_flag=True, help="Write the pictures as files too, SPLIT/a/b/c/ID.jpg.")
@click.option("--dry-run", is_flag=True, help="Tell what would be fetched; ask and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def fetch(
    what: tuple[str, ...],
    splits: tuple[str, ...],
    shards: str,
    ids: Path | None,
    root: Path | None,
    base_url: tuple[str, ...],
    jobs: int,
    extract: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Fetch Google Landmarks v2: its tables, its images (about half a terabyte), or both.

    What is there is left alone, what was stopped goes on, and nothing gets its name before its checksum is right.
    """
    from hierlandmarks.downloads import fetch_order, inspect_order, make_order
    from hierlandmarks.extraction import extract_tars
    from hierlandmarks.tarindex import read_ids

    wanted = read_ids(ids) if ids else ()
    order = make_order("gldv2", root, what, splits=splits, shards=shards, ids=wanted, base_url=base_url)
    items = inspect_order(order) if dry_run else fetch_order(order, jobs=jobs)
    if extract and not dry_run:
        extract_tars(order.root, [file.path for file in order.files if file.md5_path], wanted or None)
    lines = [f"{item.state:>8}  {item.path}" for item in items]
    missing = sum(item.about_bytes for item in items if item.state == "missing")
    lines.append(f"{order.root}: {len(items)} files" + (f", about {missing / 1e9:.1f} GB to fetch" if missing else ""))
    emit({"root": str(order.root), "files": [asdict(item) for item in items]}, as_json, "\n".join(lines))
