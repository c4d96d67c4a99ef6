"""Where a number comes from: dataset, code, settings and hardware, written beside every result."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import hierlandmarks


def provenance(*packages: str) -> dict[str, Any]:
    """Code version, hardware and the versions of the packages a result depends on.

    Args:
        packages: names of distributions, such as "torch".
    """
    return {
        "code_version": code_version(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in packages},
        "hardware": {"machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count()},
    }


def code_version() -> str:
    """The package's version, with the commit where it runs from a git checkout and `-dirty` where that was edited.

    >>> code_version().startswith(hierlandmarks.__version__)
    True
    """
    home = Path(hierlandmarks.__file__).resolve().parent
    if not (home.parent / ".git").exists():  # installed: some other repository may lie above, never ask it
        return hierlandmarks.__version__
    asked = ["git", "-C", str(home), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return hierlandmarks.__version__
    return f"{hierlandmarks.__version__}+{found}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
