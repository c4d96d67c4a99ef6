"""Pictures out of tars into files, for those who want files; the library itself reads them in the tars."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks.images import TarImages
from hierlandmarks.progress import track
from hierlandmarks.tables import atomic_path
from hierlandmarks.tarindex import keep_index


def extract_tars(root: Path, files: Iterable[str], ids: Collection[str] | None = None) -> dict[str, int]:
    """Write the pictures of tars as files, `SPLIT/a/b/c/ID.jpg`, leaving those that are there.

    A tar with a member that is no picture of GLDv2's form is refused before anything of it is written, and paths are
    made from ids, never from what a tar says.

    Args:
        root: folder of the dataset.
        files: paths of tars within it.
        ids: only these pictures; None for all.

    Returns:
        How many pictures lie there now, by tar.

    Raises:
        MissingDataError, CorruptInputError: as `images.index_tar`; also when a tar was cut since it was indexed.
    """
    return {file: _extract(root, file, ids) for file in track(list(files), "extracting", unit="tar")}


def _extract(root: Path, file: str, ids: Collection[str] | None) -> int:
    table = keep_index(root, file)
    if ids is not None:
        table = table.filter(pc.is_in(table["id"], value_set=pa.array(sorted(ids), pa.string())))
    folder = root / PurePosixPath(file).parent
    images = TarImages(root)
    for row in table.sort_by("offset").to_pylist():
        image_id, size = row["id"], row["size"]
        path = folder.joinpath(*image_id[:3], f"{image_id}.jpg")
        if path.is_file() and path.stat().st_size == size:
            continue
        content = images.read(file, row["offset"], size)
        with atomic_path(path) as part:
            part.write_bytes(content)
    images.close()
    return int(table.num_rows)
