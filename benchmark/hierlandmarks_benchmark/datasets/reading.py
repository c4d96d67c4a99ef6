"""Label files of public sets: lines of words, refused with file and line where they are not what was expected."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from hierlandmarks.errors import MissingDataError, TableError


def read_words(path: Path, columns: tuple[str, ...], layout: str, *, header: bool = False) -> pd.DataFrame:
    """A text file of words between spaces, the last column taking what is left of the line.

    Args:
        path: of the file.
        columns: their names.
        layout: whose file this is, for messages.
        header: whether the first line holds these names.

    Raises:
        MissingDataError: there is no such file.
        TableError: a line has too few words, or the header is another.
    """
    lines = read_lines(path, layout)
    if header and (not lines or tuple(lines[0].split()) != columns):
        raise TableError(f"{path} has another header than {layout}", expected=" ".join(columns))
    return frame_of(path, (line.split(None, len(columns) - 1) for line in lines[header:]), columns, 1 + header)


def read_lines(path: Path, layout: str) -> list[str]:
    """The lines of a text file without empty ones at the end.

    Raises:
        MissingDataError: there is no such file.
        TableError: it is no UTF-8.
    """
    if not path.is_file():
        raise MissingDataError(f"{path.parent} is no folder of {layout}: it has no {path.name}", do="check the folder")
    try:
        return path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise TableError(f"{path} is not UTF-8", got=str(error)) from error


def frame_of(path: Path, rows: Iterable[list[str]], columns: tuple[str, ...], first: int) -> pd.DataFrame:
    """A table of text; `first` is the number of the first row's line.

    Raises:
        TableError: a row has not as many cells as there are columns.
    """
    kept = []
    for number, row in enumerate(rows, start=first):
        if len(row) != len(columns) or not all(row):
            raise TableError(f"{path} line {number} is wrong", got=f"{len(row)} cells", expected=", ".join(columns))
        kept.append(row)
    return pd.DataFrame(kept, columns=list(columns), dtype=str)
