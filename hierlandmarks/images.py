"""From an image's place to its bytes and its pixels: straight out of the tars, nothing extracted.

`index_tar` finds where every picture lies in a tar, `TarImages` reads them there, `decode` makes them RGB.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pyarrow as pa

from hierlandmarks.errors import CorruptInputError, MissingDataError
from hierlandmarks.progress import track
from hierlandmarks.tarheaders import FILES, FOLDER, Member, read_members

if TYPE_CHECKING:
    from PIL import Image

IMAGE_ID = re.compile(r"[0-9a-f]{16}")
_PLAIN_NAME = re.compile(r"(?:\./)?[0-9a-f]/[0-9a-f]/[0-9a-f]/([0-9a-f]{16})\.jpg")  # what nearly all are called
INDEX = pa.schema([pa.field("id", pa.string()), pa.field("offset", pa.int64()), pa.field("size", pa.int64())])


def index_tar(path: str | os.PathLike[str]) -> pa.Table:
    """Where every picture lies in an uncompressed tar of GLDv2's form (`a/b/c/ID.jpg`).

    One pass over the headers; the pictures themselves are skipped, so the cost goes by members, not bytes.

    Args:
        path: such as `train/images_000.tar`.

    Returns:
        A table (id, offset, size) sorted by id: `size` bytes from byte `offset` of the tar are the picture's file.

    Raises:
        MissingDataError: there is no such file.
        CorruptInputError: no tar, a compressed or a cut one, or a member that is no plain picture named by 16 hex
            digits (a link, a device, a path that leaves the folder), or is there twice; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"{path} does not exist", do="fetch it first")
    rows: dict[str, tuple[int, int]] = {}
    for member in read_members(path):
        if member.type == FOLDER:
            continue
        image_id = _safe_id(member, path)
        if image_id in rows:
            raise CorruptInputError(f"{path} holds {member.name} twice", do="fetch the tar again")
        rows[image_id] = (member.offset, member.size)
    ids = sorted(rows)
    columns = [ids, [rows[i][0] for i in ids], [rows[i][1] for i in ids]]
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, INDEX, strict=True)], schema=INDEX)


def index_tars(root: Path, folder: str) -> pa.Table:
    """Where every picture lies in the tars `FOLDER/images_*.tar` under a root: id, file, offset, size.

    Raises:
        CorruptInputError: as `index_tar`.
    """
    found = [INDEX.empty_table().append_column("file", pa.array([], pa.string()))]
    for path in track(sorted((root / folder).glob("images_*.tar")), f"indexing {folder}", unit="tar"):
        table = index_tar(path)
        name = pa.repeat(pa.scalar(f"{folder}/{path.name}"), table.num_rows)
        found.append(table.append_column("file", name))
    return pa.concat_tables(found)


def _safe_id(member: Member, path: Path) -> str:
    if member.type not in FILES:
        raise CorruptInputError(f"{path}: the member {member.name} is no plain file", do="do not use this tar")
    if plain := _PLAIN_NAME.fullmatch(member.name):
        return plain[1]
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise CorruptInputError(f"{path}: the member {member.name} leaves the folder", do="do not use this tar")
    if not IMAGE_ID.fullmatch(name.stem) or name.suffix != ".jpg":
        raise CorruptInputError(
            f"{path}: the member {member.name} is no GLDv2 image", expected="16 hex digits and .jpg"
        )
    return name.stem


class TarImages:
    """Reads pictures out of the tars (or plain files) under a folder.

    Safe to share between threads and across fork at any moment: reads carry their own position (`os.pread`), and
    there is no lock that a fork could leave taken. Pickles to another process, where the files are opened anew. Holds
    one open file for each tar it has read from.

    Args:
        root: the folder that `file` names are relative to.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self._open: dict[str, int] = {}

    def read(self, file: str, offset: int | None = None, size: int | None = None) -> bytes:
        """The bytes of one picture.

        Args:
            file: path within the folder, of a tar or a picture.
            offset: where the picture starts in the tar; None when the file is the picture.
            size: its length in bytes.

        Raises:
            MissingDataError: there is no such file.
            CorruptInputError: the path leaves the folder, or the file ends before the picture does.
        """
        if offset is None or size is None:
            return self._path(file).read_bytes()
        content = os.pread(self._descriptor(file), size, offset)
        if len(content) != size:
            raise CorruptInputError(
                f"{self.root / file} ends within the picture at byte {offset}",
                got=f"{len(content)} bytes",
                expected=size,
                do="fetch it again",
            )
        return content

    def has(self, file: str) -> bool:
        """Whether the file is there; one that has been read from is not looked for again."""
        return file in self._open or (self.root / file).is_file()

    def close(self) -> None:
        """Close the tars, when no thread is reading; a later `read` opens them again."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _descriptor(self, file: str) -> int:
        if (known := self._open.get(file)) is not None:
            return known
        new = os.open(self._path(file), os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        kept = self._open.setdefault(file, new)
        if kept != new:  # another thread was faster
            os.close(new)
        return kept

    def _path(self, file: str) -> Path:
        name = PurePosixPath(file)
        if not file or name.is_absolute() or ".." in name.parts:
            raise CorruptInputError(f"the picture's file {file!r} is no path within {self.root}")
        path = self.root / name
        if not path.is_file():
            raise MissingDataError(f"{path} does not exist", do="fetch it, or give the folder that holds it")
        return path

    def __getstate__(self) -> dict[str, Path]:
        return {"root": self.root}

    def __setstate__(self, state: dict[str, Path]) -> None:
        TarImages.__init__(self, state["root"])

    def __del__(self) -> None:
        for descriptor in getattr(self, "_open", {}).values():
            os.close(descriptor)

    def __repr__(self) -> str:
        return f"TarImages({str(self.root)!r})"


def decode(content: bytes) -> Image.Image:
    """A picture as RGB, upright: turned as its EXIF says, grey, 16-bit, CMYK and palettes converted.

    Transparent parts become white, 16-bit greys keep their upper eight bits.

    Raises:
        CorruptInputError: the bytes are no picture, or only a part of one, or one too large to be meant.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            upright = ImageOps.exif_transpose(picture)
    except UnidentifiedImageError as error:  # its own words name an address in memory
        raise CorruptInputError("a picture cannot be decoded", got="bytes of no known format") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise CorruptInputError("a picture cannot be decoded", got=str(error) or type(error).__name__) from error
    if upright.mode.startswith("I"):
        import numpy as np

        upright = Image.fromarray((np.asarray(upright).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))
    if upright.has_transparency_data:
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright.convert("RGBA"))
    return upright.convert("RGB")
