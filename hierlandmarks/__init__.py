"""hierlandmarks: Google Landmarks v2 with a label hierarchy, loaded in one line.

>>> import hierlandmarks as hl
>>> sorted(hl.__all__)
['Dataset', 'Hierarchy', 'download', 'load']
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["Dataset", "Hierarchy", "download", "load"]
