"""`hierlandmarks info NAME|FOLDER`."""

from __future__ import annotations

import click

from hierlandmarks.cli import emit


@click.command()
@click.argument("release", metavar="NAME|FOLDER")
@click.option("--split", help="Only this split.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def info(release: str, split: str | None, as_json: bool) -> None:
    """Sizes, tree, licences and a sample of a release: a known name such as mini, or a release folder."""
    from hierlandmarks.dataset import load
    from hierlandmarks.describe import describe, text

    facts = describe(load(release, split))
    emit(facts, as_json, text(facts))
