"""Every example runs: Python blocks of README and docs are executed, shell blocks name commands that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hierlandmarks import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "benchmark/leaderboard/README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "CONTRIBUTING.md",
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        if page.is_file():
            found = [code for kind, code in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]
            if found:
                yield page.name, "\n".join(found)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize(
    ("page", "code"), list(blocks("python")), ids=lambda value: value if value.endswith(".md") else ""
)
def test_python_blocks_run(page: str, code: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIERLANDMARKS_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    exec(compile(code, page, "exec"), {"__name__": page})  # one namespace a page, as a reader would type it


@pytest.mark.parametrize(
    ("page", "code"), list(blocks("bash")), ids=lambda value: value if value.endswith(".md") else ""
)
def test_shell_blocks_name_real_commands(page: str, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.split("#")[0].strip() for line in code.replace("\\\n", " ").splitlines()]
    for words in (line.split()[1:] for line in lines if line.startswith("hierlandmarks ")):
        assert cli.run([*command_path(words), "--help"]) == 0, f"{page}: hierlandmarks {' '.join(words)}"
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        text = capsys.readouterr().out
        assert all(option in text for option in options), f"{page}: {' '.join(words)} uses an unknown option"


def command_path(words: list[str]) -> list[str]:
    """The leading words that name a command, through its groups."""
    command, context, path = cli.cli, click.Context(cli.cli), list[str]()
    for word in words:
        below = command.get_command(context, word) if isinstance(command, click.Group) else None
        if below is None:
            break
        command, context = below, click.Context(below, parent=context)
        path.append(word)
    return path


def test_links_between_pages_hold() -> None:
    for page in PAGES:
        if page.is_file():
            for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8")):
                assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


def test_the_reference_of_the_command_line_is_current() -> None:
    # In a process of its own: click keeps the help option a command had when a test called it apart from its group.
    code = f"import runpy; print(runpy.run_path({str(ROOT / 'docs' / 'generate.py')!r})['cli_page'](), end='')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == done.stdout, "run `make card`"
