"""The permanent id of a landmark as a place, which is the same in both id spaces."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hierlandmarks.schema import SPACES
from hierlandmarks_pipelines.wikimedia.titles import PREFIX, category_title

_PLACE = re.compile(rf"(commons|{'|'.join(SPACES)}):\S.*")


def leaf_id(row: Mapping[str, Any]) -> str:
    """The leaf a landmark is: `commons:` and the title of its category, else its space and id.

    >>> leaf_id({"space": "train", "landmark_id": "7", "category": "https://commons.wikimedia.org/wiki/Category:a_b"})
    'commons:A b'
    >>> leaf_id({"space": "index", "landmark_id": "7", "category": ""})
    'index:7'
    """
    title = category_title(row["category"])
    return f"commons:{title.removeprefix(PREFIX)}" if title else f"{row['space']}:{row['landmark_id']}"


def is_place(text: str) -> bool:
    """Whether a text has the form of a `leaf_id`.

    >>> is_place("commons:Space Needle"), is_place("Q42")
    (True, False)
    """
    return _PLACE.fullmatch(text) is not None
