"""`hierlandmarks bench`: each module beside this one holds one command of that name, loaded only when it is used."""

from __future__ import annotations

from importlib import import_module

import click

NAMES = ("embed", "evaluate", "export-codabench", "leaderboard", "search", "submit", "train")


class LazyGroup(click.Group):
    """A group whose commands are modules of this package, so that help stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, sorted."""
        return list(NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        if cmd_name not in NAMES:
            return None
        name = cmd_name.replace("-", "_")
        command = getattr(import_module(f"{__name__}.{name}"), name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup)
def bench() -> None:
    """Train, embed, evaluate and submit models; build the leaderboard."""
