"""`hierlandmarks bench train`: a release and a recipe → a model folder."""

from __future__ import annotations

from pathlib import Path

import click

from hierlandmarks.cli import emit
from hierlandmarks.tables import atomic_folder


@click.command()
@click.option("--release", required=True, help="Release folder, or the name of a release such as mini.")
@click.option("--recipe", required=True, help="Name of a bundled recipe, or a YAML file.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Model folder to make (replaced).")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def train(release: str, recipe: str, out: Path, assignments: tuple[str, ...], as_json: bool) -> None:
    """Train a network on a release: weights, recipe, history, curves and a summary."""
    from hierlandmarks_benchmark.recipe import load_recipe
    from hierlandmarks_benchmark.train import train as run

    loaded = load_recipe(recipe, assignments)
    with atomic_folder(out) as folder:
        summary = run(release, loaded, folder)
    last = ", ".join(f"{name} {summary['last'][name]:.3f}" for name in ("loss", "h_ap") if name in summary["last"])
    emit(summary, as_json, f"{loaded.name}: {summary['images']:,} images, {summary['seconds']:.0f} s, {last}; {out}")
