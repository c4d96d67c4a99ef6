"""The one exception tree: every error a user can cause, each with the exit code of the command line.

::

    HierlandmarksError                 exit 1
    ├── UsageError (ValueError)        exit 1   a wrong argument, name or setting
    ├── IncompleteError                exit 2   something needed is not there (yet)
    │   ├── MissingDataError (FileNotFoundError)
    │   └── OfflineError               network needed, HIERLANDMARKS_OFFLINE set
    └── CorruptInputError (ValueError) exit 3   something is there, and wrong
        ├── TableError                 a table breaks its schema: file, row, column
        ├── HierarchyError             a cycle, two parents, two roots, an unknown node
        └── ChecksumError              bytes differ from what their manifest says

A message is one sentence: what is wrong, what was found, what was expected, what to do.

>>> print(TableError("labels.csv row 3: landmark_id is repeated", got="'7'", expected="one row each", do="delete one"))
labels.csv row 3: landmark_id is repeated; got '7', expected one row each: delete one.
"""

from __future__ import annotations

from typing import ClassVar


class HierlandmarksError(Exception):
    """Base of every error raised on purpose.

    Args:
        what: what is wrong, naming the file, row or argument.
        got: what was found.
        expected: what would have been right.
        do: what the reader can do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, got: object = None, expected: object = None, do: str | None = None) -> None:
        facts = [f"got {got}"] if got is not None else []
        facts += [f"expected {expected}"] if expected is not None else []
        sentence = what.rstrip(".")
        sentence += f"; {', '.join(facts)}" if facts else ""
        sentence += f": {do}" if do else ""
        super().__init__(sentence if sentence.endswith("?") else sentence.rstrip(".") + ".")


class UsageError(HierlandmarksError, ValueError):
    """A wrong argument, name or setting."""


class IncompleteError(HierlandmarksError):
    """Something that is needed is not there yet."""

    exit_code = 2


class MissingDataError(IncompleteError, FileNotFoundError):
    """A file or folder is missing; the message says where it would come from."""


class OfflineError(IncompleteError):
    """The network is needed and HIERLANDMARKS_OFFLINE is set."""


class CorruptInputError(HierlandmarksError, ValueError):
    """Input that is there and wrong."""

    exit_code = 3


class TableError(CorruptInputError):
    """A table breaks its declared schema; the message names file, row and column."""


class HierarchyError(CorruptInputError):
    """A hierarchy that is no tree: a cycle, two parents, two roots, an unknown node."""


class ChecksumError(CorruptInputError):
    """Bytes differ from what their manifest or catalog says."""
