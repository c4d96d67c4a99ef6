"""The review to look at: a static page beside the sheet, with pictures of example landmarks where the run has any."""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks.errors import HierlandmarksError
from hierlandmarks.images import TarImages, decode
from hierlandmarks.progress import say
from hierlandmarks_pipelines.reviewrows import Place, ReviewRow
from hierlandmarks_pipelines.webpage import render

MOST = 200  # rows on the page; the sheet has them all
PICTURES = 4  # of a row, each of another landmark
_SIZE = (180, 134)  # pixels: shown at two thirds, sharp on a dense screen


@dataclass(frozen=True)
class Thumbnail:
    """A small picture with the name of its landmark and whose it is; `picture` is a data: address."""

    name: str
    credit: str
    picture: str


def review_page(rows: Sequence[ReviewRow], pictures: Mapping[str, Sequence[Thumbnail]]) -> str:
    """The page of the types to review.

    Args:
        rows: in the order of the sheet.
        pictures: by type id, for the rows that are shown.
    """
    open_rows = [row for row in rows if row.decision is None]
    inherited = [row for row in rows if row.inherited]
    decided = [row for row in rows if row.decision is not None and not row.inherited]
    lead = (
        f"{len(open_rows):,} of {len(rows):,} types wait for a decision, those that settle most landmarks first. "
        f"{len(inherited):,} inherit a label from the classes above them; a decision of their own would replace it."
    )
    done = (("Inherited from the classes above", inherited), ("Decided", decided))
    return _page("Types to decide", "review.csv", lead, open_rows, pictures, done, by_type=True)


def doubts_page(rows: Sequence[ReviewRow], pictures: Mapping[str, Sequence[Thumbnail]], uncertain: int) -> str:
    """The page of the landmarks whose label is uncertain.

    Args:
        rows: in the order of the sheet.
        pictures: by leaf id, for the rows that are shown.
        uncertain: how many places there are, in the sheet or not.
    """
    lead = (
        f"{uncertain:,} landmarks have a label that is less than certain, or a guess too weak to be one. "
        "Those whose answer tells most come first."
    )
    return _page("Landmarks to decide", "doubts.csv", lead, rows, pictures, (), by_type=False)


def _page(
    title: str,
    sheet: str,
    lead: str,
    waiting: Sequence[ReviewRow],
    pictures: Mapping[str, Sequence[Thumbnail]],
    done: Iterable[tuple[str, Sequence[ReviewRow]]],
    *,
    by_type: bool,
) -> str:
    facts: dict[str, Any] = {"title": title, "sheet": sheet, "lead": lead, "by_type": by_type}
    more = max(0, len(waiting) - MOST)
    return render("review.html.j2", **facts, waiting=waiting[:MOST], pictures=pictures, more=more, done=done, most=MOST)


def thumbnails(
    wanted: Mapping[str, Sequence[Place]], images: pa.Table, source: Path, names: Mapping[Place, str]
) -> dict[str, list[Thumbnail]]:
    """Small pictures of landmarks, the first image of each; one that cannot be read is left out, and said.

    Args:
        wanted: landmarks by row id; the first PICTURES that have an image are drawn.
        images: a `schema.IMAGES` table.
        source: folder that its column `file` is relative to.
        names: of the landmarks.

    Returns:
        Thumbnails by row id; rows without any are left out.

    Linear in images, and in the bytes of the pictures drawn.
    """
    first = _first_images(images, {place for places in wanted.values() for place in places})
    read, bad = TarImages(source), 0
    drawn: dict[str, list[Thumbnail]] = defaultdict(list)
    for key, places in wanted.items():
        for place in [place for place in places if place in first][:PICTURES]:
            row = first[place]
            try:
                picture = _drawn(read.read(row["file"], row["offset"], row["size"]))
            except HierlandmarksError:
                bad += 1
                continue
            credit = ", ".join(filter(None, (row["author"], row["license"])))
            drawn[key].append(Thumbnail(names.get(place, ""), credit, picture))
    if bad:
        say(f"        {bad} pictures could not be read and are left out of the page")
    return dict(drawn)


def _first_images(images: pa.Table, places: set[Place]) -> dict[Place, dict[str, Any]]:
    """The image of lowest id of each of these landmarks that has one at hand."""
    here = images.filter(
        pc.and_(
            pc.is_in(images["landmark_id"], pa.array(sorted({landmark for _, landmark in places}), pa.string())),
            pc.not_equal(images["file"], ""),
        )
    )
    found: dict[Place, dict[str, Any]] = {}
    for row in here.to_pylist():
        if (place := (row["space"], row["landmark_id"])) in places:
            found.setdefault(place, row)
    return found


def _drawn(content: bytes) -> str:
    from PIL import ImageOps

    picture = ImageOps.fit(decode(content), _SIZE)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
