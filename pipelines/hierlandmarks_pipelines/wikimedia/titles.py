"""Page titles as MediaWiki takes them: how they are spelt (`hierlandmarks.titles`), and which may be asked for."""

from __future__ import annotations

import re

from hierlandmarks.titles import PREFIX, category_title, normalise, upper_first

__all__ = ["PREFIX", "category_title", "is_valid", "normalise", "upper_first"]

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\ufffd#<>\[\]{}|]")
_MAX_BYTES = 255


def is_valid(title: str) -> bool:
    """Whether a title may be asked for: no forbidden character and a name of at most 255 bytes.

    A `|` in one title would split a whole batch, so this is checked before asking, not left to the API.

    >>> is_valid("Category:A"), is_valid("Category:A|B")
    (True, False)
    """
    return not _FORBIDDEN.search(title) and len(title.removeprefix(PREFIX).encode("utf-8")) <= _MAX_BYTES
