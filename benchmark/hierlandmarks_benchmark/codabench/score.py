"""Started by Codabench: `python3 score.py INPUT OUTPUT`. The scorer lies beside this file, in `lib`.

An image that lacks what the scorer needs gets it from the package index, once, into a folder of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Put the scorer and what it needs on the path, and run it."""
    sys.path.insert(0, str(HERE / "lib"))
    if any(find_spec(name) is None for name in ("numpy", "pandas", "pyarrow", "yaml")):
        needed = tempfile.mkdtemp()
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", needed]
        subprocess.run([*pip, "--requirement", str(HERE / "requirements.txt")], check=True)
        sys.path.append(needed)
    from hierlandmarks_benchmark.codabench.scoring import main as score

    return score(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
