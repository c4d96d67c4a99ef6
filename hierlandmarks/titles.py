"""Commons category URLs to page titles, in the one spelling that MediaWiki itself uses."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

PREFIX = "Category:"
_PAGE = re.compile(r"(?:https?:)?//commons\.(?:m\.)?wikimedia\.org/wiki/([^?#]*)", re.IGNORECASE)
_SPACES = re.compile(r"[ _\u00a0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_INVISIBLE = re.compile(r"[\u200e\u200f\u202a-\u202e]")  # direction marks, which MediaWiki drops


def category_title(url: str) -> str:
    """The title of the Commons category a GLDv2 `category` cell names, or "" when it names none.

    Unquoted (UTF-8), underscores to spaces, NFC, first letter upper, as spec'd for comparing titles. A title without
    the prefix or an address of another site gives "".

    >>> category_title("http://commons.wikimedia.org/wiki/Category:Isa_Khan_Niyazi's_tomb")
    "Category:Isa Khan Niyazi's tomb"
    >>> category_title("https://commons.wikimedia.org/wiki/Category:ch%C3%A2teau_d%27If")
    "Category:Château d'If"
    >>> category_title("https://en.wikipedia.org/wiki/Paris")
    ''
    """
    match = _PAGE.match(url.strip())
    if not match:
        return ""
    prefix, colon, name = normalise(unquote(match[1], errors="replace")).partition(":")
    if not colon or prefix.strip().lower() != "category" or not name.strip():
        return ""
    return PREFIX + upper_first(name.strip())


def normalise(text: str) -> str:
    """Text as MediaWiki normalises titles: NFC, runs of blanks and underscores to one space, ends trimmed."""
    return _SPACES.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFC", text))).strip(" ")


def upper_first(text: str) -> str:
    """The first letter upper, unless that takes two letters (as for ß).

    >>> upper_first("élysée"), upper_first("ßa")
    ('Élysée', 'ßa')
    """
    first = text[:1].upper()
    return (first if len(first) == 1 else text[:1]) + text[1:]
