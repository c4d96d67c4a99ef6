"""The review sheet, a CSV that a person fills in with a spreadsheet: written, and read back whatever became of it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hierlandmarks.errors import MissingDataError, TableError, UsageError
from hierlandmarks.tables import write_text
from hierlandmarks_pipelines.labelfiles import DROP, LABEL, Decision, Taxonomy, check_decision
from hierlandmarks_pipelines.reviewrows import ReviewRow

COLUMNS = (
    "type_id",
    "type",
    "landmarks",
    "settles",
    "examples",
    "proposal_id",
    "proposal",
    "suggestion",
    "confidence",
    "decided",
    "decided_by",
    "note",
    "decision",
    "reviewer",
    "reason",
)
_NEEDED = ("type_id", "type", "decision")
_NUMBERS = ("landmarks", "settles", "confidence")
_FORMULA = ("=", "+", "-", "@")
_BROKEN = ("#REF!", "#NAME?", "#VALUE!", "#N/A", "#DIV/0!", "#NULL!", "#NUM!")
_NUMBER = re.compile(r"[\d.,'’\s]+%?|\d[.,]\d+E[+-]?\d+", re.IGNORECASE)  # thousands marks of any country


@dataclass(frozen=True)
class Filled:
    """A decision read from a sheet, with the address of its cell for messages."""

    decision: Decision
    where: str


def write_sheet(path: Path, rows: Iterable[ReviewRow]) -> None:
    """Write the sheet, one line a row, in their order.

    UTF-8 with a BOM, which spreadsheets need to see that it is UTF-8. A cell that a spreadsheet would take for a
    formula gets an apostrophe in front.

    Args:
        path: where to.
        rows: as `reviewrows.review_rows` or `doubts.doubtful` give them.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        cells = (row.type_id, row.type, row.landmarks, row.settles, row.examples, row.proposal_id, row.proposal)
        guess = (row.suggestion, f"{row.confidence:.2f}")
        known = (row.decision.outcome.strip(), row.decision.reviewer) if row.decision else ("", "")
        writer.writerow([_harmless(cell) for cell in (*cells, *guess, *known, row.note, "", "", "")])
    write_text(path, "\ufeff" + buffer.getvalue())


def read_sheet(path: Path, taxonomy: Taxonomy, reviewer: str, date: str) -> list[Filled]:
    """Read the decisions of a filled sheet; rows whose `decision` is empty are passed over.

    Takes what spreadsheets make of a CSV: a BOM, UTF-16, CRLF, semicolons or tabs, stray spaces, columns moved, added
    or left out (type_id, type and decision are needed), other spellings of a label's case and spaces, thousands marks
    of any country. Where text stands in place of a number, cells have moved and nothing in that row is believed.

    Args:
        path: the sheet.
        taxonomy: the labels a decision may name; `drop` is the other possibility.
        reviewer: who decided, where the sheet's own column is empty.
        date: of the decisions, YYYY-MM-DD.

    Raises:
        MissingDataError: there is no such file.
        UsageError: it is a folder.
        TableError: what cannot be read for certain, with the address of the cell as spreadsheets give it.
    """
    rows = _cells(path)
    header = [cell.strip().casefold() for cell in rows[0]] if rows else []
    for name in _NEEDED:
        if header.count(name) != 1:
            got = f"{header.count(name)} of them" if name in header else f"columns {', '.join(header) or 'none'}"
            raise TableError(f"{path} needs one column {name}", got=got, do="export the sheet again")
    filled = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) > len(header) and any(cell.strip() for cell in row[len(header) :]):
            raise TableError(f"{path} cell {_column(len(header))}{number} stands beside no column name", got=row[-1])
        found = _read_row(path, header, row, number, taxonomy, Decision("", "", "", "", "", reviewer, date, ""))
        filled += [found] if found else []
    return filled


def _read_row(
    path: Path, header: Sequence[str], row: Sequence[str], number: int, taxonomy: Taxonomy, blank: Decision
) -> Filled | None:
    cells = {name: cell.strip().removeprefix("'") for name, cell in zip(header, row, strict=False)}
    where = {name: f"{path} cell {_column(header.index(name))}{number}" for name in header}
    for name in ("type_id", "type", "decision", "reviewer", "reason"):
        if cells.get(name, "").upper() in _BROKEN or "\ufffd" in cells.get(name, ""):
            raise TableError(f"{where[name]} was broken by a spreadsheet", got=cells[name], do="type it again")
    for name in _NUMBERS:
        if cells.get(name) and not _NUMBER.fullmatch(cells[name]):
            do = "put the cells of this row back in their columns, or clear this one"
            raise TableError(f"{where[name]} is no number", got=repr(cells[name]), do=do)
    chosen = cells.get("decision", "")
    if not chosen:
        if cells.get("reason"):
            do = "write a label or drop, or clear the reason"
            raise TableError(f"{where['decision']}: a reason without a decision", do=do)
        return None
    label = None if chosen.casefold() == DROP else taxonomy.find(chosen)
    if label is None and chosen.casefold() != DROP:
        raise TableError(f"{where['decision']}: there is no label {chosen!r}", do=taxonomy.advice(chosen))
    decision = Decision(
        type_id=cells.get("type_id", ""),
        type=cells.get("type", ""),
        action=LABEL if label else DROP,
        label_id=label.label_id if label else "",
        label=label.label if label else "",
        reviewer=cells.get("reviewer") or blank.reviewer,
        date=blank.date,
        reason=" ".join(cells.get("reason", "").split()),
    )
    check_decision(decision, taxonomy, f"{path} row {number}")
    return Filled(decision, where["decision"])


def _cells(path: Path) -> list[list[str]]:
    """All cells of a CSV in whatever encoding and with whatever separator a spreadsheet saved it."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder", expected="a filled sheet, such as review.csv in it")
    if not path.is_file():
        raise MissingDataError(f"{path} does not exist", do="export a review sheet and fill it in")
    text = _decode(path)
    if not text.strip():
        raise TableError(f"{path} is empty", expected=f"a header {','.join(COLUMNS)} and rows")
    first = text.splitlines()[0]
    separator = max(",;\t", key=first.count)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise TableError(f"{path} is no CSV", got=str(error)) from error


def _decode(path: Path) -> str:
    data = path.read_bytes()
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise TableError(f"{path} is a workbook of a spreadsheet, no CSV", do="save the sheet as 'CSV UTF-8'")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise TableError(f"{path} row {row} is not UTF-8", do="save the sheet as 'CSV UTF-8'") from error


def _harmless(cell: object) -> str:
    text = str(cell)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _column(number: int) -> str:
    """The letters spreadsheets give a column: 0 is A, 26 is AA."""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
