"""A static page of a dataset: thumbnails by label, with everything inside one HTML file.

Nothing is fetched: style and pictures are in the file, and its own policy forbids loading or running anything else.
Every text from the data is escaped by the template engine.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hierlandmarks.dataset import Dataset
from hierlandmarks.errors import UsageError
from hierlandmarks.levels import Ints
from hierlandmarks.progress import track

HERE = Path(__file__).parent
QUALITY = 80


@dataclass(frozen=True)
class Thumbnail:
    """A picture on the page, with what is known of it."""

    id: str
    name: str
    author: str
    license: str
    url: str
    picture: str  # data: address


@dataclass(frozen=True)
class Shelf:
    """A label with a few of its images."""

    label: str
    kind: str
    images: int
    landmarks: int
    thumbnails: Sequence[Thumbnail]


def shelves(dataset: Dataset, each: int = 8, side: int = 112, seed: int = 0) -> list[Shelf]:
    """A few images of every label, of different landmarks while there are as many; labels by kind and size.

    Args:
        dataset: whose pictures can be read.
        each: most images of a label.
        side: longer side of a thumbnail in pixels.
        seed: of the choice.

    Raises:
        UsageError: no images of a label are asked for, or thumbnails of no size.
        MissingDataError, CorruptInputError: as `Dataset.image`.
    """
    if each < 1 or side < 1:
        raise UsageError("a page needs pictures", got=f"{each} of {side} pixels", expected="1 or more of 1 or more")
    labels = dataset.labels
    order = np.random.default_rng(seed).permutation(len(labels))
    _, label, kind = dataset.hierarchy.levels
    names, kinds = dataset.hierarchy.names(label), dataset.hierarchy.names(kind)
    found = []
    for code in track(np.unique(labels[labels[:, 1] >= 0, 1]).tolist(), "drawing labels", unit="label"):
        rows = order[labels[order, 1] == code]
        shown = _varied(rows, labels[rows, 0])[:each]
        about = dataset.table(["id", "name", "author", "license", "url"]).take(shown).to_pylist()
        thumbnails = [
            Thumbnail(**row, picture=_drawn(dataset, int(i), side)) for row, i in zip(about, shown, strict=True)
        ]
        landmarks = len(np.unique(labels[rows, 0]))
        found.append(Shelf(names[code], kinds[int(labels[rows[0], 2])], len(rows), landmarks, thumbnails))
    return sorted(found, key=lambda shelf: (shelf.kind != "natural", -shelf.images, shelf.label))


def page(dataset: Dataset, found: Sequence[Shelf], facts: dict[str, Any]) -> str:
    """The page as HTML; equal arguments give equal text.

    Args:
        found: as `shelves` gives them.
        facts: as `describe.describe` gives them.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["web"] = web_address
    css = (HERE / "page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    template = environment.get_template("page.html.j2")
    return template.render(facts=facts, split=dataset.split, shelves=found, css=Markup(css), policy=policy)


def web_address(text: str) -> str:
    """An address that a link may lead to, "" for anything but https and http.

    >>> web_address("javascript:alert(1)"), web_address("https://commons.wikimedia.org/")
    ('', 'https://commons.wikimedia.org/')
    """
    return text if text.startswith(("https://", "http://")) else ""


def _varied(rows: Ints, landmarks: Ints) -> Ints:
    """Rows in an order that shows every landmark once before any of them twice."""
    turn = np.zeros(len(rows), dtype=np.int64)
    by_landmark = np.argsort(landmarks, kind="stable")
    starts = np.flatnonzero(np.diff(landmarks[by_landmark], prepend=-2))
    turn[by_landmark] = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
    return rows[np.argsort(turn, kind="stable")]


def _drawn(dataset: Dataset, row: int, side: int) -> str:
    picture = dataset.image(row)
    picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
