"""What can be wrong with a CSV, each in one sentence that names file and row; and how Arrow is to read one."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from hierlandmarks.errors import MissingDataError, TableError


def check_file(path: Path, columns: Sequence[str]) -> None:
    """Refuse a CSV that is not there, or of no bytes."""
    if not path.is_file():
        wrong = "is a folder" if path.is_dir() else "does not exist"
        raise MissingDataError(f"{path} {wrong}", expected=f"a CSV with columns {', '.join(columns)}")
    if path.stat().st_size == 0:
        raise TableError(f"{path} is empty", expected=f"a header {','.join(columns)} and rows")


def check_header(path: Path, names: Sequence[str], columns: Sequence[str]) -> None:
    """Refuse a CSV whose header `names` lacks one of the columns, or has one twice."""
    for name in columns:
        if name not in names:
            raise TableError(f"{path} lacks the column {name}", got=f"columns {', '.join(names)}")
    if twice := [n for n in columns if names.count(n) > 1]:
        raise TableError(f"{path} has two columns named {twice[0]}", do="remove one")


def check_filled(table: pa.Table, key: Sequence[str], path: Path, first_row: int = 2) -> None:
    """Refuse rows of a CSV whose key is blank, naming the first."""
    for name in key:
        blank = pc.index(pc.equal(pc.utf8_trim_whitespace(table[name]), ""), True).as_py()
        if blank >= 0:
            raise TableError(f"{path} row {blank + first_row}: {name} is empty", do="fill it in or remove the row")


def no_rows(path: Path) -> TableError:
    """What is wrong with a CSV that has a header alone."""
    return TableError(f"{path} has a header and no rows", do="check where it was made")


def header(path: Path) -> list[str]:
    """The first row of a CSV.

    Raises:
        TableError: it is no text in UTF-8.
    """
    with open(path, "rb") as stream:
        first = stream.readline()
    if b"\0" in first or "\ufffd" in first.decode("utf-8", errors="replace"):
        raise TableError(f"{path} is not UTF-8", got=repr(first[:20]), do="save it as a CSV in UTF-8")
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as stream:
        return next(csv.reader(stream), [])


def options(header: Sequence[str]) -> dict[str, Any]:
    """How Arrow is to read our CSVs: every cell is text, as it stands."""
    types = {name: pa.string() for name in header}
    return {
        "parse_options": pacsv.ParseOptions(newlines_in_values=True),
        "convert_options": pacsv.ConvertOptions(column_types=types, strings_can_be_null=False),
    }


def what_is_wrong(path: Path, header: Sequence[str]) -> TableError:
    """What is wrong with a CSV that Arrow cannot read; slow, since Arrow does not name the row."""
    try:
        for _ in rows(path, header):
            pass
    except TableError as error:
        return error
    return TableError(f"{path} could not be read as a CSV", expected="UTF-8, commas, one header row")


def rows(path: Path, header: Sequence[str]) -> Iterator[list[str]]:
    """The rows of a CSV below its header, one by one; empty lines are passed over, as Arrow does.

    Raises:
        TableError: at the first row that has too many or too few cells, or is none.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            for number, row in enumerate(csv.reader(stream, strict=True), start=1):
                if row and len(row) != len(header):
                    raise TableError(
                        f"{path} row {number} has the wrong number of cells", got=len(row), expected=len(header)
                    )
                if row and number > 1:
                    yield row
    except UnicodeDecodeError as error:
        raise TableError(f"{path} is not UTF-8", got=str(error), do="save it as UTF-8") from error
    except csv.Error as error:
        raise TableError(f"{path} is no CSV", got=str(error)) from error
