"""The permanent id of a type that is known by its name only."""

from __future__ import annotations

import re
import unicodedata

from hierlandmarks.errors import UsageError

_LATIN_MARKS = re.compile("[\u0300-\u036f]")
_NOT_WORD = re.compile(r"[\W_]+")


def type_id(name: str) -> str:
    """`hl:` and the slug of a type's name: lower case, accents off, every other character a single hyphen.

    Letters of all scripts are kept, so that names written without Latin letters stay apart; only the accents of
    alphabets that use them as decoration go. Spelling that differs in case, accents or punctuation gives one id.

    Args:
        name: English (or any) name of a type, such as GLDv2's `supercategory`.

    Raises:
        UsageError: the name holds no letter or digit; such a landmark has no type.

    >>> type_id("Church building")
    'hl:church-building'
    >>> type_id("library building (University of Washington Libraries)")
    'hl:library-building-university-of-washington-libraries'
    >>> type_id("Château") == type_id("chateau")
    True
    >>> type_id("神社")
    'hl:神社'
    """
    plain = _LATIN_MARKS.sub("", unicodedata.normalize("NFKD", name)).casefold()
    slug = _NOT_WORD.sub("-", unicodedata.normalize("NFC", plain)).strip("-")
    if not slug:
        raise UsageError("a type needs a name", got=repr(name), expected="at least one letter or digit")
    return f"hl:{slug}"
