"""`hierlandmarks demo`."""

from __future__ import annotations

from pathlib import Path

import click

from hierlandmarks.cli import emit


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("hierlandmarks-demo"),
    show_default=True,
    help="Folder to write into.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def demo(out: Path, as_json: bool) -> None:
    """The whole way on the bundled world "mini": labels, dataset, model, leaderboard; offline, under 3 minutes."""
    from hierlandmarks_pipelines.run import find_recipe, run_recipe
    from hierlandmarks_pipelines.summary import summarise

    run_recipe(find_recipe(Path("mini")), out)
    summary = summarise(out)
    emit(summary.data, as_json, summary.text)
