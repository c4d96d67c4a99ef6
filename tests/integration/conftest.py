"""One run of the whole arrow, from an installed wheel in an empty folder with an empty home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

MAIN = "from hierlandmarks.cli import main; main()"


@dataclass(frozen=True)
class Installation:
    """The wheel, installed apart from the checkout."""

    site: Path
    home: Path
    folder: Path

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run the command line of the installed wheel in the empty folder."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.site),
            "HOME": str(self.home),
            "HIERLANDMARKS_HOME": str(self.home / "cache"),
            "HIERLANDMARKS_OFFLINE": "1",
            **(env or {}),
        }
        return subprocess.run(
            [sys.executable, "-c", MAIN, *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )


@dataclass(frozen=True)
class Demo:
    """What the demo left behind and what it said."""

    out: Path
    data: dict[str, Any]
    talk: str


@pytest.fixture(scope="session")
def installation(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The project as a user has it: a wheel, built and installed without the checkout."""
    base = tmp_path_factory.mktemp("installation")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", base / "wheel", root], check=True)
    wheel = next((base / "wheel").glob("hierlandmarks-*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--target", base / "site", wheel], check=True)
    (base / "home").mkdir()
    (base / "folder").mkdir()
    return Installation(base / "site", base / "home", base / "folder")


@pytest.fixture(scope="session")
def demo(installation: Installation) -> Demo:
    """`hierlandmarks demo --json` from the installed wheel."""
    done = installation.run("demo", "--out", "demo", "--json")
    assert done.returncode == 0, done.stderr
    return Demo(installation.folder / "demo", json.loads(done.stdout), done.stderr)
