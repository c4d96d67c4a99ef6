"""Polygons in unit coordinates, seen from a viewpoint; and the traits that make one landmark look like itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]
T = TypeVar("T")

GROUND = 0.76  # where buildings meet the ground
WHITE: Colour = (245, 243, 238)
DARK: Colour = (48, 46, 52)
# Few materials for many landmarks: a histogram of colours shall not tell them apart.
WALLS: tuple[Colour, ...] = ((214, 200, 172), (196, 164, 120), (168, 96, 76), (176, 172, 166), (232, 226, 214))
ROOFS: tuple[Colour, ...] = ((150, 72, 54), (86, 96, 108), (96, 136, 118), (70, 66, 72), (170, 128, 84))
GREENS: tuple[Colour, ...] = ((92, 128, 62), (64, 104, 70), (120, 138, 70), (78, 118, 92))
ROCKS: tuple[Colour, ...] = ((128, 118, 110), (112, 104, 112), (146, 122, 98), (98, 104, 110))
WATERS: tuple[Colour, ...] = ((64, 118, 152), (70, 138, 140), (58, 96, 128), (92, 142, 168))


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """The colour that lies `share` (0 to 1) of the way from `a` to `b`.

    >>> mix((0, 0, 0), (100, 200, 50), 0.5)
    (50, 100, 25)
    """
    red, green, blue = (round(p + (q - p) * share) for p, q in zip(a, b, strict=True))
    return red, green, blue


def shade(colour: Colour, factor: float) -> Colour:
    """A colour made darker (factor below 1) or lighter (above 1)."""
    red, green, blue = (min(255, max(0, round(channel * factor))) for channel in colour)
    return red, green, blue


class Traits:
    """What is fixed about a landmark: the same questions in the same order get the same answers.

    Args:
        seed: whole numbers that identify the landmark.
        look: its style, where somebody wrote it down; else it is drawn by lot.
    """

    def __init__(self, seed: Sequence[int], look: str = "") -> None:
        self._random = np.random.default_rng(list(seed))
        self._look = look

    def style(self, *choices: str) -> str:
        """The landmark's style among those its label has."""
        drawn = self.pick(*choices)
        return self._look or drawn

    def between(self, low: float, high: float) -> float:
        """A number from low to high."""
        return float(self._random.uniform(low, high))

    def count(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(self._random.integers(low, high + 1))

    def pick(self, *choices: T) -> T:
        """One of the choices."""
        return choices[int(self._random.integers(len(choices)))]

    def chance(self, share: float) -> bool:
        """True in `share` of all landmarks."""
        return bool(self._random.random() < share)

    def material(self, colours: Sequence[Colour]) -> Colour:
        """One of the colours, a little off."""
        red, green, blue = self.pick(*colours)
        a, b, c = (int(value) for value in self._random.integers(-14, 15, 3))
        return red + a, green + b, blue + c

    def ridge(self, left: float, right: float, steps: int, rough: float) -> list[tuple[float, float]]:
        """A jagged line from left to right around 0, for crests and shores; `rough` is its height."""
        heights = self._random.uniform(-rough, rough, steps)
        return list(zip(np.linspace(left, right, steps).tolist(), heights.tolist(), strict=True))


class Canvas:
    """A square picture to draw on. (0, 0) is its upper left corner and (1, 1) its lower right.

    Args:
        pixels: side length.
        view: 2 × 3 affine matrix from the landmark's coordinates to the picture's: the viewpoint.
        sun: -1 when light comes from the left, 1 from the right.
    """

    def __init__(self, pixels: int, view: np.ndarray, sun: int) -> None:
        self.image = Image.new("RGB", (pixels, pixels))
        self.sun = sun
        self._draw = ImageDraw.Draw(self.image)
        self._view = view
        self._pixels = pixels

    @classmethod
    def over(cls, other: Canvas) -> Canvas:
        """A canvas on the same picture that looks straight at it: for what stands in the foreground."""
        straight = cls(1, np.eye(2, 3), other.sun)
        straight.image, straight._draw, straight._pixels = other.image, other._draw, other._pixels
        return straight

    def _place(self, points: Points) -> list[tuple[float, float]]:
        placed = np.asarray(points) @ self._view[:, :2].T + self._view[:, 2]
        return [(float(x), float(y)) for x, y in placed * self._pixels]

    def polygon(self, points: Points, colour: Colour) -> None:
        """A filled polygon."""
        self._draw.polygon(self._place(points), fill=colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """A filled rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def block(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """A building's body: a rectangle whose side away from the sun lies in shadow."""
        self.box(left, top, right, bottom, colour)
        edge = 0.3 * (right - left)
        dark = shade(colour, 0.72)
        if self.sun > 0:
            self.box(left, top, left + edge, bottom, dark)
        else:
            self.box(right - edge, top, right, bottom, dark)

    def cone(self, left: float, right: float, bottom: float, top: float, colour: Colour) -> None:
        """A spire or pointed roof, half of it in shadow."""
        middle = (left + right) / 2
        self.polygon([(left, bottom), (middle, top), (right, bottom)], colour)
        dark_side = left if self.sun > 0 else right
        self.polygon([(middle, top), (middle, bottom), (dark_side, bottom)], shade(colour, 0.72))

    def disc(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, part: tuple[float, float] = (0, 360)
    ) -> None:
        """A filled ellipse, or its part between two angles (degrees; 0 is right, 180 to 360 the upper half)."""
        angles = np.radians(np.linspace(part[0], part[1], 28))
        self.polygon(
            list(zip((x + rx * np.cos(angles)).tolist(), (y + ry * np.sin(angles)).tolist(), strict=True)), colour
        )

    def dome(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """The upper half of an ellipse with a highlight towards the sun."""
        self.disc(x, y, rx, ry, colour, (180, 360))
        self.disc(x + 0.35 * rx * self.sun, y, 0.4 * rx, 0.85 * ry, shade(colour, 1.18), (180, 360))

    def line(self, points: Points, width: float, colour: Colour) -> None:
        """A line of a width given as a share of the picture."""
        self._draw.line(self._place(points), fill=colour, width=max(1, round(width * self._pixels)), joint="curve")

    def below(self, crest: Points, colour: Colour) -> None:
        """Everything below a crest line: hills, shores, ground."""
        self.polygon([*crest, (crest[-1][0], 2.5), (crest[0][0], 2.5)], colour)

    def windows(
        self, area: tuple[float, float, float, float], columns: int, rows: int, colour: Colour, fill: float = 0.5
    ) -> None:
        """A grid of windows in (left, top, right, bottom); `fill` is the share of a cell that is glass."""
        left, top, right, bottom = area
        width, height = (right - left) / columns, (bottom - top) / rows
        for row in range(rows):
            for column in range(columns):
                x, y = left + (column + 0.5) * width, top + (row + 0.5) * height
                dx, dy = fill * width / 2, fill * height / 2
                self.box(x - dx, y - dy, x + dx, y + dy, colour)
