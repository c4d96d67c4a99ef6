"""hierlandmarks: Google Landmarks v2 with a label hierarchy, loaded in one line.

>>> import hierlandmarks as hl
>>> sorted(hl.__all__)
['Dataset', 'Hierarchy', 'download', 'load']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hierlandmarks.dataset import Dataset, load
    from hierlandmarks.downloads import download
    from hierlandmarks.hierarchy import Hierarchy

__version__ = "0.1.0"
__all__ = ["Dataset", "Hierarchy", "download", "load"]

# Loaded on first use, so that `import hierlandmarks` and the command line's help stay instant.
_HOMES = {"Dataset": "dataset", "Hierarchy": "hierarchy", "download": "downloads", "load": "dataset"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
