"""docs/submit.md, followed literally."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
MAIN = "import sys; from hierlandmarks.cli import main; sys.argv[0] = 'hierlandmarks'; main()"


def test_the_guide_ends_with_a_board(root: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", (root / "docs" / "submit.md").read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 6
    command = tmp_path / "bin" / "hierlandmarks"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{MAIN}" "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    paths = os.pathsep.join(str(path) for path in (root, root / "pipelines", root / "benchmark"))
    environment = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": paths}
    environment |= {"HIERLANDMARKS_OFFLINE": "1", "HIERLANDMARKS_HOME": str(tmp_path / "home")}
    script = "set -eu\n" + "\n".join(blocks)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    board = (tmp_path / "board" / "README.md").read_text(encoding="utf-8")
    assert {name for name in ("tiny-pixels", "colours", "random") if name in board} == {
        "tiny-pixels",
        "colours",
        "random",
    }
    assert (tmp_path / "submissions" / "top-ten" / "meta.yaml").is_file()
    assert (tmp_path / "competition" / "bundle.zip").is_file()
