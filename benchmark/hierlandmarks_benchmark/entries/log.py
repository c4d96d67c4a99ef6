"""The log of a folder of submissions: a line an event, only ever added to, each holding the hash of the one before."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from hierlandmarks.errors import CorruptInputError
from hierlandmarks.tables import file_sha256

LOG = "log.jsonl"
LONGEST = 1 << 26  # bytes


def append(submissions: Path, event: str, meta: Path, date: str) -> None:
    """Add a line: what happened to which entry, and the hash of its `meta.yaml`, which holds those of its files.

    Raises:
        CorruptInputError: the log does not hold together; nothing is added to it.
    """
    path = submissions / LOG
    lines = read_lines(path)
    line = {
        "date": date,
        "event": event,
        "entry": meta.parent.name,
        "meta_sha256": file_sha256(meta),
        "previous": _hash(lines[-1]) if lines else "",
    }
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n")


def logged(submissions: Path) -> dict[str, str] | None:
    """The hash that the log has for the `meta.yaml` of every entry, by name; None where there is no log.

    Raises:
        CorruptInputError: a line was changed, removed or put in between.
    """
    if not (submissions / LOG).is_file():
        return None
    lines = [json.loads(line) for line in read_lines(submissions / LOG)]
    return {line["entry"]: line["meta_sha256"] for line in lines}


def read_lines(path: Path) -> list[str]:
    """The lines of a log, each checked to follow the one before; none where there is no log.

    Raises:
        CorruptInputError: one does not, or the file is no log.
    """
    if not path.is_file():
        return []
    if path.stat().st_size > LONGEST:
        raise CorruptInputError(f"{path} is too large", expected=f"at most {LONGEST:,} bytes")
    lines = path.read_bytes().decode("utf-8", "replace").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            content = json.loads(line)
            whole = all(isinstance(content[key], str) for key in ("entry", "meta_sha256", "previous"))
        except (ValueError, TypeError, KeyError, RecursionError):
            whole = False
        if not whole or content["previous"] != (_hash(lines[number - 2]) if number > 1 else ""):
            raise CorruptInputError(
                f"{path} line {number} does not follow the line before it",
                do="restore the log: lines are only ever added to its end",
            )
    return lines


def _hash(line: str) -> str:
    return hashlib.sha256(line.encode("utf-8")).hexdigest()
