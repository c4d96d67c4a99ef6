"""The headers of an uncompressed tar, one after the other, without reading what lies between them.

Most members of GLDv2's tars are plain files with short names, whose headers say all there is; these are read here.
From the first header of another kind on (long names, links, extensions) `tarfile` reads the rest: it knows every form,
and takes four times as long.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from hierlandmarks.errors import CorruptInputError

BLOCK = tarfile.BLOCKSIZE
FILES = ("0", "\0")  # types of plain files
FOLDER = "5"


class Member(NamedTuple):
    """A member of a tar.

    Attributes:
        name: as the tar has it, perhaps not safe to use as a path.
        type: a character, one of `FILES` or `FOLDER` or another of `tarfile`'s.
        offset, size: where its bytes lie in the tar.
    """

    name: str
    type: str
    offset: int
    size: int


def read_members(path: Path) -> Iterator[Member]:
    """Every member of a tar, in order.

    Raises:
        CorruptInputError: no uncompressed tar, or one that is cut or spoilt; the message names the byte.
    """
    with open(path, "rb", buffering=0) as stream:
        position = 0
        while (member := _plain(os.pread(stream.fileno(), BLOCK, position), position)) is not None:
            yield member
            position = member.offset + -(-member.size // BLOCK) * BLOCK
        if position == 0 or os.pread(stream.fileno(), BLOCK, position) != tarfile.NUL * BLOCK:
            stream.seek(position)
            position = yield from _read_rest(path, stream)
        # tarfile stops without a word at a spoilt header; a whole tar ends in blocks of zeros.
        if os.pread(stream.fileno(), BLOCK, position) != tarfile.NUL * BLOCK:
            raise CorruptInputError(
                f"{path} is cut or spoilt at byte {position}",
                expected="the end of a tar or its next member",
                do="fetch it again",
            )


def _plain(header: bytes, position: int) -> Member | None:
    """The member that a plain and whole header at `position` announces, else None."""
    # ustar (IEEE 1003.1): name 100 bytes, mode, owner and group 8 each, size 12, time 12, checksum 8, type 1, link 100,
    # magic 8, names of owner and group 32 each, device 16, prefix of the name 155. In GNU's form there is no prefix.
    name, end, _ = header[:100].partition(b"\0")
    kind, magic = header[156:157], header[257:263]
    unprefixed = magic == b"ustar " or (magic == b"ustar\0" and not header[345])
    if not (end and unprefixed and kind in (b"0", b"5")):
        return None
    try:
        size, checksum = int(header[124:136].rstrip(b"\0 "), 8), int(header[148:156].rstrip(b"\0 "), 8)
        text = name.decode("ascii").rstrip("/")
    except ValueError:  # large sizes and other alphabets are written in other ways
        return None
    # The checksum is over the header with eight blanks in its place.
    if sum(header) - sum(header[148:156]) + 8 * 32 != checksum or size < 0 or (size and kind == b"5"):
        return None
    return Member(text, kind.decode("ascii"), position + BLOCK, size)


def _read_rest(path: Path, stream: IO[bytes]) -> Generator[Member, None, int]:
    """The members from where the stream stands on; returns where they end."""
    try:
        with tarfile.TarFile(fileobj=stream) as tar:
            for member in tar:
                yield Member(member.name, member.type.decode("latin-1"), member.offset_data, member.size)
            return tar.offset
    except tarfile.TarError as error:
        raise CorruptInputError(f"{path} is no readable tar", got=str(error), do="fetch it again") from error
