"""Text from strangers, made harmless to print: what an entry says of itself can neither hide nor reorder anything."""

from __future__ import annotations

import unicodedata
from typing import Any, TypeVar

T = TypeVar("T")

# Embeddings, overrides and isolates of writing direction: they make a line read otherwise than it is stored.
DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain(value: T) -> T:
    r"""The same value with every text in it free of control characters, direction overrides and lone surrogates.

    Each such character becomes U+FFFD, so that it is seen; line breaks and tabs become spaces. Mappings and lists are
    gone through, their keys included. Joiners stay, as Persian and emoji need them.

    >>> plain({"name": "good\u202edab", "note": "two\nlines"})
    {'name': 'good�dab', 'note': 'two lines'}
    """
    return _plain(value)  # type: ignore[no-any-return]


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return "".join(map(_harmless, value))
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return value


def _harmless(character: str) -> str:
    if character in "\t\n\r":
        return " "
    bad = character in DIRECTION or unicodedata.category(character) in ("Cc", "Cs")
    return "\N{REPLACEMENT CHARACTER}" if bad else character
