"""Words for people: progress bars and talk on stderr, and numbers with their noun."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(items: Iterable[T], about: str, total: int | None = None, unit: str = "it") -> Iterator[T]:
    """Pass items through, showing a bar on a terminal and nothing elsewhere.

    >>> list(track([1, 2], "counting"))
    [1, 2]
    """
    with tqdm(
        items,
        desc=f"  {about}",
        total=total,
        unit=unit,
        leave=False,
        disable=None,
        file=sys.stderr,
        delay=0.5,
    ) as bar:
        yield from bar


def say(text: str) -> None:
    """Talk goes to stderr, so that stdout stays data."""
    tqdm.write(text, file=sys.stderr)


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "image"), counted(4132914, "image")
    ('1 image', '4,132,914 images')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
