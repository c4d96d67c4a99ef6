"""Files that ship with a package: beside the code in an installed wheel, beside the package in a checkout."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from hierlandmarks.errors import MissingDataError


def bundled(package: str, *parts: str) -> Path:
    """The path of a bundled file or folder.

    `labels/`, `pipelines/recipes/` and `benchmark/recipes/` lie outside the packages in a checkout, where people
    edit them, and inside them in a wheel (see `force-include` in pyproject.toml).

    Raises:
        MissingDataError: the installation lacks it.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDataError(f"the package {package} is not installed", do="pip install hierlandmarks")
    home = Path(next(iter(spec.submodule_search_locations)))
    for root in (home, home.parent, home.parent.parent):
        if (path := root.joinpath(*parts)).exists():
            return path
    raise MissingDataError(f"{'/'.join(parts)} is missing from {package}", do="reinstall hierlandmarks")
