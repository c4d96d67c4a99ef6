"""The logo of a competition: a tree of three levels."""

from __future__ import annotations

import io
from itertools import pairwise

SIDE = 400
ROWS = (1, 2, 4)  # nodes a level
PAPER, INK, LEAF = (247, 246, 242), (38, 70, 83), (42, 157, 143)


def logo() -> bytes:
    """A square PNG."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (SIDE, SIDE), PAPER)
    draw = ImageDraw.Draw(image)
    places = [
        [(SIDE * (2 * i + 1) // (2 * count), SIDE * (row + 1) // (len(ROWS) + 1)) for i in range(count)]
        for row, count in enumerate(ROWS)
    ]
    for upper, lower in pairwise(places):
        for i, place in enumerate(lower):
            draw.line([upper[i * len(upper) // len(lower)], place], fill=INK, width=8)
    for row, level in enumerate(places):
        for x, y in level:
            draw.ellipse([x - 26, y - 26, x + 26, y + 26], fill=LEAF if row == len(ROWS) - 1 else INK)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
