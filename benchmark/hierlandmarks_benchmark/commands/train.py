"""`hierlandmarks bench train`: a release and a recipe → a model folder."""

from __future__ import annotations

import os
from pathlib import Path

import click

from hierlandmarks.cli import emit
from hierlandmarks.tables import atomic_folder


@click.command()
@click.option("--release", required=True, help="Release folder, the name of one such as mini, or LAYOUT:FOLDER.")
@click.option("--recipe", required=True, help="Name of a bundled recipe, or a YAML file.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Model folder to make (replaced).")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated.")
@click.option("--restart", is_flag=True, help="Start again where an earlier run left a checkpoint.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def train(release: str, recipe: str, out: Path, assignments: tuple[str, ...], restart: bool, as_json: bool) -> None:
    """Train a network on a release: weights, recipe, history, curves and a summary.

    Works in OUT.training and puts it in place of OUT at the end. Killed, the same command goes on from the last
    checkpoint there. Several processes: torchrun --nproc-per-node N -m hierlandmarks bench train ...
    """
    from hierlandmarks_benchmark.recipe import load_recipe
    from hierlandmarks_benchmark.train import train as run
    from hierlandmarks_benchmark.train.run import is_first
    from hierlandmarks_benchmark.train.team import together

    loaded = load_recipe(recipe, assignments)
    working = out.with_name(f"{out.name}.training")
    with together():
        summary = run(release, loaded, working, restart=restart)
    if not is_first():
        return
    with atomic_folder(out) as folder:
        os.replace(working, folder)
    last = ", ".join(f"{name} {summary['last'][name]:.3f}" for name in ("loss", "h_ap") if name in summary["last"])
    emit(summary, as_json, f"{loaded.name}: {summary['images']:,} images, {summary['seconds']:.0f} s, {last}; {out}")
