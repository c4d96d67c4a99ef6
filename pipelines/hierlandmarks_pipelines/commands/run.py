"""`hierlandmarks run RECIPE`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from hierlandmarks.cli import emit


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write into [default: out/RECIPE].")
@click.option("--until", metavar="STAGE", help="Stop after this stage.")
@click.option("--set", "overrides", multiple=True, metavar="STAGE.KEY=VALUE", help="Override a parameter.")
@click.option("--force", is_flag=True, help="Run every stage, up to date or not.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def run(
    recipe: Path, out: Path | None, until: str | None, overrides: tuple[str, ...], force: bool, as_json: bool
) -> None:
    """Run a recipe's stages in order, skipping what is up to date.

    RECIPE is a YAML file, or the name of one that ships with the package (mini, washington, gldv2).
    """
    from hierlandmarks_pipelines.run import find_recipe, run_recipe
    from hierlandmarks_pipelines.summary import summarise

    recipe = find_recipe(recipe)
    out = out or Path("out") / recipe.stem
    results = run_recipe(recipe, out, until=until, overrides=overrides, force=force)
    summary = summarise(out)
    emit({"stages": [asdict(result) for result in results], **summary.data}, as_json, summary.text)
