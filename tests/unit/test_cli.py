"""The command line's frame: exit codes, one-line errors, quick and light start."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from hierlandmarks import cli
from hierlandmarks.errors import HierlandmarksError, IncompleteError, TableError, UsageError


@pytest.mark.parametrize(
    ("error", "code"),
    [(UsageError("u"), 1), (IncompleteError("i"), 2), (TableError("t"), 3), (HierlandmarksError("h"), 1)],
)
def test_errors_become_exit_codes(
    error: HierlandmarksError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "cli", fail)
    assert cli.run([]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"hierlandmarks: {error}\n"


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "cli", stop)
    assert cli.run([]) == 130


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bnch"]) == 1
    assert "no such command 'bnch': did you mean bench?" in capsys.readouterr().err


def test_a_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["demo", "--nope"]) == 1
    assert "No such option" in capsys.readouterr().err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    out = capsys.readouterr().out
    for name in ("bench", "demo", "export", "fetch", "info", "labels", "mine", "run", "verify"):
        assert f"\n  {name}" in out


@pytest.mark.parametrize("code", ["import hierlandmarks", "from hierlandmarks.cli import run; run(['--help'])"])
def test_start_is_light(code: str) -> None:
    heavy = "torch", "transformers", "sentence_transformers", "faiss", "matplotlib", "sklearn", "numba"
    probe = f"import sys; {code}; print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "hierlandmarks", "info", "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: hierlandmarks info")
