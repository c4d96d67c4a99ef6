"""The command `hierlandmarks`: finds its commands by entry point and translates errors into exit codes.

stdout is data, stderr is talk. Exit codes: 0 ok, 1 usage, 2 incomplete, 3 corrupt input, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import entry_points
from typing import Any

import click

from hierlandmarks import __version__
from hierlandmarks.errors import HierlandmarksError
from hierlandmarks.params import nearest

GROUP = "hierlandmarks.commands"


class Commands(click.Group):
    """A click group whose commands are entry points, loaded only when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, sorted."""
        return sorted(point.name for point in entry_points(group=GROUP))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        for point in entry_points(group=GROUP, name=cmd_name):
            command = point.load()
            assert isinstance(command, click.Command)
            return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when there is none of that name."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            ctx.fail(f"no such command {args[0]!r}: {nearest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="hierlandmarks")
def cli() -> None:
    """Rebuild the hierarchical labels of Google Landmarks v2, load the dataset, train and rank models on it.

    Start with `hierlandmarks demo`: the whole way on a small bundled world, offline, in under three minutes.
    """


def emit(data: Any, as_json: bool, text: str) -> None:
    """Print a command's result to stdout: one JSON document with --json, else text for people."""
    click.echo(json.dumps(data, ensure_ascii=False, sort_keys=True) if as_json else text)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code; every expected error is one line on stderr."""
    # Read by Arrow when it is first imported: the system's allocator gives big columns back, its own keeps a third.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        result = cli.main(arguments, prog_name="hierlandmarks", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 1
    except click.ClickException as error:
        usage = error.ctx.get_usage() + "\n" if isinstance(error, click.UsageError) and error.ctx else ""
        click.echo(f"{usage}hierlandmarks: {error.format_message()}", err=True)
        return 1
    except HierlandmarksError as error:
        click.echo(f"hierlandmarks: {error}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("hierlandmarks: interrupted; nothing half-written was left behind", err=True)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return result if isinstance(result, int) else 0
