"""The index of a dataset's tars: which picture lies in which, kept beside them and also when they are gone.

`ROOT/tar_index/SPLIT/images_NNN.parquet` (id, offset, size) is written when `SPLIT/images_NNN.tar` was fetched. The
folder can be copied: with it, somebody who has no tar yet fetches only those that hold the images asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hierlandmarks.catalog import RemoteFile
from hierlandmarks.errors import IncompleteError, MissingDataError, TableError
from hierlandmarks.images import IMAGE_ID, INDEX, index_tar
from hierlandmarks.tables import PARQUET, atomic_path

FOLDER = "tar_index"
_STAMP = b"tar"  # key of the tar's size and time in the index's metadata


def index_path(root: Path, file: str) -> Path:
    """Where the index of a tar lies.

    >>> index_path(Path("gldv2"), "train/images_007.tar").as_posix()
    'gldv2/tar_index/train/images_007.parquet'
    """
    return root / FOLDER / PurePosixPath(file).with_suffix(".parquet")


def keep_index(root: Path, file: str) -> pa.Table:
    """Index a tar and keep the result beside it, unless that was done already.

    Args:
        root: folder of the dataset.
        file: path of the tar within it.

    Returns:
        As `images.index_tar`.

    Raises:
        MissingDataError, CorruptInputError: as `images.index_tar`.
    """
    known = find_index(root, file)
    if known is not None:
        return known
    table = index_tar(root / file)
    with atomic_path(index_path(root, file)) as part:
        pq.write_table(table.replace_schema_metadata({_STAMP: _stamp(root / file)}), part, **PARQUET)
    return table


def find_index(root: Path, file: str) -> pa.Table | None:
    """The kept index of a tar that lies there as it was when it was indexed; else None."""
    path = index_path(root, file)
    if not path.is_file() or not (root / file).is_file():
        return None
    table = _read(path)
    return table if (table.schema.metadata or {}).get(_STAMP) == _stamp(root / file) else None


def tars_with(root: Path, files: Sequence[RemoteFile], ids: Collection[str]) -> tuple[RemoteFile, ...]:
    """Those tars that hold the pictures asked for.

    Args:
        root: folder of the dataset, with an index of its tars.
        files: the tars to choose from.
        ids: of pictures.

    Raises:
        IncompleteError: the index does not say where all of them are.
    """
    left = pa.array(sorted(set(ids)), pa.string())
    chosen, indexed = [], 0
    for file in files:
        if not index_path(root, file.path).is_file():
            continue
        indexed += 1
        here = pc.is_in(left, value_set=_read(index_path(root, file.path))["id"].combine_chunks())
        if pc.any(here).as_py():
            chosen.append(file)
            left = left.filter(pc.invert(here))
    if len(left):
        raise IncompleteError(
            f"the index of the tars does not know {len(left)} of {len(set(ids))} images, such as {left[0]}",
            got=f"{indexed} of {len(files)} tars indexed in {root / FOLDER}",
            do="fetch the other tars once, or copy that folder from where they are"
            if indexed < len(files)
            else "check the ids and --split",
        )
    return tuple(chosen)


def read_ids(path: Path) -> tuple[str, ...]:
    """Image ids from a text file: one a line, or the first column of a CSV with a header.

    Raises:
        MissingDataError: there is no such file.
        TableError: a line that does not begin with 16 hex digits, named by its number.
    """
    if not path.is_file():
        raise MissingDataError(f"{path} does not exist", expected="a list of image ids, one a line")
    found: dict[str, None] = {}
    with open(path, encoding="utf-8-sig", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            cell = re.split(r"[,\s]", line.strip(), maxsplit=1)[0].strip('"')
            if IMAGE_ID.fullmatch(cell):
                found[cell] = None
            elif cell and not (number == 1 and cell in ("id", "image_id")):
                raise TableError(f"{path} line {number} is no image id", got=repr(cell[:40]), expected="16 hex digits")
    if not found:
        raise TableError(f"{path} lists no image", expected="image ids, one a line")
    return tuple(found)


def _stamp(path: Path) -> bytes:
    facts = os.stat(path)
    return f"{facts.st_size} {facts.st_mtime_ns}".encode()


def _read(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise TableError(f"{path} is no index of a tar", got=str(error).splitlines()[0], do="delete it") from error
    if table.schema.names != INDEX.names:
        raise TableError(f"{path} is no index of a tar", expected=", ".join(INDEX.names), do="delete it")
    return table
