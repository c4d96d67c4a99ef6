"""`hierlandmarks export`."""

from __future__ import annotations

from pathlib import Path

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
@click.option("--force", is_flag=True, help="Write again, up to date or not.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def export(
    out: Path, name: str, validation: float, labelled_only: bool, image_bytes: bool, force: bool, as_json: bool
) -> None:
    """Write the release of a run folder: parquet shards, hierarchy.csv, card and manifest in OUT/release."""
    from hierlandmarks.tables import read_json
    from hierlandmarks_pipelines.export import STAGE, Export
    from hierlandmarks_pipelines.run import run_stage

    params = Export(name=name, validation=validation, labelled_only=labelled_only, image_bytes=image_bytes)
    ran = run_stage(STAGE, params, out, force=force)
    manifest = read_json(out / "release" / "MANIFEST.json")
    sizes = ", ".join(f"{split} {facts['rows']:,} images" for split, facts in manifest["splits"].items())
    emit(
        {"release": str(out / "release"), "ran": ran, "splits": manifest["splits"]},
        as_json,
        f"{sizes}\n{out / 'release'}",
    )
