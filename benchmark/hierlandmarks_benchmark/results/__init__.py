"""A static page of search results: every query with what was found for it, framed by how much of the hierarchy matches.

One HTML file with style and pictures inside. Its own policy forbids loading or running anything; every text from the
data is escaped by the template engine.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from hierlandmarks.errors import HierlandmarksError
from hierlandmarks.hierarchy import level
from hierlandmarks_benchmark.leaderboard.metrics import match_words

if TYPE_CHECKING:
    from hierlandmarks_benchmark.datasets import ImageSet

HERE = Path(__file__).parent
SIDE = 144  # pixels of a thumbnail
FINEST, COARSEST = 165.0, 65.0  # hues: from green over blue and purple to amber
SAID = ("name", "author", "license")  # columns of a release that a caption shows, where they are


@dataclass(frozen=True)
class Shown:
    """A query and what was found for it, as rows of their datasets, best first."""

    query: int
    found: NDArray[np.int64]


@dataclass(frozen=True)
class Photo:
    """A picture on the page.

    Attributes:
        id: of the image.
        title: what it shows: the landmark's name, else its finest label.
        path: its labels above that, fine → coarse.
        credit: author and licence, "" where they are not known.
        level: how many labels match the query's; L for the query itself.
        address: data: address of the thumbnail, "" where the picture cannot be read.
    """

    id: str
    title: str
    path: str
    credit: str
    level: int
    address: str


def make_page(entry: str, queries: ImageSet, gallery: ImageSet, shown: Sequence[Shown]) -> str:
    """The page as HTML.

    Args:
        entry: whose results these are.
        queries: where the queries are from.
        gallery: where what was found is from, of the same dataset.
        shown: what to show.
    """
    names = queries.hierarchy.levels
    rows = []
    for one in shown:
        levels = level(queries.labels[one.query], gallery.labels[one.found])
        found = [_photo(gallery, int(row), int(match)) for row, match in zip(one.found, levels, strict=True)]
        rows.append((_photo(queries, one.query, len(names)), found))
    css = (HERE / "page.css").read_text(encoding="utf-8") + colours(len(names))
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{_sha256(css)}'; base-uri 'none'; form-action 'none'"
    )
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        entry=entry,
        dataset=queries.name,
        searched=f"{len(gallery):,}",
        words=[match_words(number, names) for number in range(len(names) + 1)],
        rows=rows,
        css=Markup(css),  # our own file
        policy=policy,
    )


def colours(depth: int) -> str:
    """A frame's colour for every level: hues in even steps from the finest to the coarsest, grey for nothing in common.

    >>> colours(1).splitlines()[0]
    '.match-1 { --match: light-dark(oklch(50% 0.13 165), oklch(78% 0.13 165)); }'
    """
    turn = (COARSEST - FINEST) % 360
    hues = {number: FINEST + turn * (depth - number) / max(depth - 1, 1) for number in range(depth, 0, -1)}
    pairs = {number: (f"0.13 {hue % 360:.0f}") for number, hue in hues.items()} | {0: "0.01 250"}
    return "\n".join(
        f".match-{number} {{ --match: light-dark(oklch(50% {colour}), oklch(78% {colour})); }}"
        for number, colour in pairs.items()
    )


def _photo(dataset: ImageSet, row: int, match: int) -> Photo:
    facts = dataset.images.iloc[row]
    above = [_name(dataset, row, column) for column in range(dataset.labels.shape[1])]
    said = {name: str(facts[name]) for name in SAID if name in facts.index}
    title = said.get("name") or above[0] or str(facts["id"])
    credit = ", ".join(filter(None, (said.get("author"), said.get("license"))))
    path = " › ".join(name for name in above[1:] if name)
    return Photo(str(facts["id"]), title, path, credit, match, _thumbnail(dataset, row))


def _name(dataset: ImageSet, row: int, column: int) -> str:
    code = int(dataset.labels[row, column])
    return dataset.hierarchy.names(dataset.hierarchy.levels[column])[code] if code >= 0 else ""


def _thumbnail(dataset: ImageSet, row: int) -> str:
    from PIL import Image, ImageOps

    try:
        square = ImageOps.fit(dataset.image(row), (SIDE, SIDE), Image.Resampling.LANCZOS)
    except HierlandmarksError:
        return ""
    buffer = io.BytesIO()
    square.save(buffer, "JPEG", quality=80, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
