"""All that is wrong with a submission, up to a number a person wants to read, each with its line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from hierlandmarks.errors import CorruptInputError
from hierlandmarks_benchmark.texts import plain

MOST = 20


class RefusedError(CorruptInputError):
    """A submission that breaks its track's rules.

    Attributes:
        problems: one sentence each, the first `MOST` of them.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        more = len(self.problems) - 1
        super().__init__(self.problems[0], do=f"`--check` lists {more} more" if more else None)


class Problems:
    """Collects problems; the file is refused at once where there are too many, else when it has been read."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def add(self, sentence: str) -> None:
        """Note a problem.

        Raises:
            RefusedError: it is the last that is worth listing.
        """
        self._found.append(sentence)
        if len(self._found) >= MOST:
            self._refuse()

    def settle(self) -> None:
        """Refuse the submission where there was any problem.

        Raises:
            RefusedError: there was.
        """
        if self._found:
            self._refuse()

    def _refuse(self) -> NoReturn:
        raise RefusedError(self._found)


def quoted(text: object) -> str:
    """A value from a file as a message shows it: harmless, and cut.

    >>> quoted("a" * 100)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…'"
    """
    shown = plain(str(text))
    return repr(shown if len(shown) <= 40 else f"{shown[:40]}…")
