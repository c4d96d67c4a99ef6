"""What can be trained and evaluated on: releases of the dataset, and folders in the public layouts of others.

``NAME:FOLDER`` names such a folder, wherever a release is asked for:

* ``inat18:FOLDER`` iNaturalist 2018, seven levels (see `inat18`)
* ``sop:FOLDER`` Stanford Online Products, two levels (`sop`)
* ``cub:FOLDER`` CUB-200-2011, three levels (`cub`)
* ``dyml-vehicle:FOLDER``, ``dyml-animal:FOLDER``, ``dyml-product:FOLDER`` DyML, three levels (`dyml`)
* ``dyml-vehicle-fine:FOLDER``, ``-middle``, ``-coarse``, and the same of animals: their tests, one level each
"""

from __future__ import annotations

from pathlib import Path
from typing import overload

import hierlandmarks as hl
from hierlandmarks.errors import MissingDataError, UsageError
from hierlandmarks.params import nearest
from hierlandmarks_benchmark.datasets import cub, dyml, inat18, sop
from hierlandmarks_benchmark.datasets.public import PublicDataset, Reader

ImageSet = hl.Dataset | PublicDataset
LAYOUTS: dict[str, Reader] = {"inat18": inat18.read, "sop": sop.read, "cub": cub.read, **dyml.READERS}


@overload
def open_dataset(release: Path, split: str | None = None) -> hl.Dataset: ...
@overload
def open_dataset(release: str | Path, split: str | None = None) -> ImageSet: ...
def open_dataset(release: str | Path, split: str | None = None) -> ImageSet:
    """A dataset by what `--release` says: a release's folder or name, or ``NAME:FOLDER`` for a public layout.

    Args:
        release: as on the command line.
        split: of it, all by default.

    Raises:
        UsageError: there is no such release, layout or split; the message names the nearest.
        MissingDataError: the folder, or a file of the layout, is missing.
        CorruptInputError: a file is not what the layout says.
    """
    name, colon, folder = str(release).partition(":")
    if isinstance(release, Path) or not colon or Path(release).exists():
        return hl.load(release, split=split)
    if name not in LAYOUTS:
        raise UsageError(f"there is no layout {name!r}", do=nearest(name, LAYOUTS))
    root = Path(folder).expanduser()
    if not folder or not root.is_dir():
        raise MissingDataError(f"there is no folder {folder!r} in the layout of {name}", do=f"give {name}:FOLDER")
    return PublicDataset(name, root, LAYOUTS[name](root)).of(split)
