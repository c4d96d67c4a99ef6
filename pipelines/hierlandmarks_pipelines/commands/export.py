"""`hierlandmarks export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hierlandmarks.cli import emit


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Run folder, with its tables."
)
@click.option("--name", required=True, help="Name of the release.")
@click.option("--validation", type=float, default=0.0, show_default=True, help="Share of train landmarks to set aside.")
@click.option("--labelled-only/--all", default=True, show_default=True, help="Train images without a label: out or in.")
@click.option("--image-bytes/--no-image-bytes", default=True, show_default=True, help="Pictures in the shards.")
@click.option(
    "--continues", type=click.Path(path_type=Path), help="Release of the version before: its integer codes stay."
)
@click.option("--version", default="1.0.0", show_default=True, help="Version of the release.")
@click.option("--executor", help="Where shards are written: threads:N, processes:N or tcp://HOST:PORT (Dask).")
@click.option("--force", is_flag=True, help="Write again, up to date or not.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def export(out: Path, executor: str | None, force: bool, as_json: bool, **settings: Any) -> None:
    """Write the release of a run folder: parquet shards, hierarchy.csv, card and manifest in OUT/release."""
    from hierlandmarks.executors import using
    from hierlandmarks.tables import read_json
    from hierlandmarks_pipelines.export import STAGE, Export
    from hierlandmarks_pipelines.run import run_stage

    with using(executor):
        ran = run_stage(STAGE, Export(**settings), out, force=force)
    manifest = read_json(out / "release" / "MANIFEST.json")
    sizes = ", ".join(f"{split} {facts['rows']:,} images" for split, facts in manifest["splits"].items())
    emit(
        {"release": str(out / "release"), "ran": ran, "splits": manifest["splits"]},
        as_json,
        f"{sizes}\n{out / 'release'}",
    )
