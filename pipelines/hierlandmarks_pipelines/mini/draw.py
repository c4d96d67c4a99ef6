"""Photos of a landmark: the kind decides the scene, the label the silhouette, the landmark the traits.

What differs between two photos of one landmark is what differs between real ones: viewpoint, distance, light,
weather, season, framing, something in the way, blur and noise. Equal arguments give equal pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from hierlandmarks_pipelines.mini import built, nature, towers
from hierlandmarks_pipelines.mini.canvas import GREENS, ROCKS, WALLS, Canvas, Colour, Traits, mix, shade

Silhouette = Callable[[Canvas, Traits], None]

HUMAN_MADE: dict[str, Silhouette] = {
    "church": built.church,
    "castle / fort": built.castle,
    "museum": built.museum,
    "bridge": built.bridge,
    "lighthouse": towers.lighthouse,
    "palace": built.palace,
    "tower": towers.tower,
    "mosque": built.mosque,
    "skyscraper": towers.skyscraper,
    "sports venue": built.stadium,
}
NATURAL: dict[str, Silhouette] = {
    "mountain": nature.mountain,
    "lake": nature.lake,
    "waterfall": nature.waterfall,
    "island": nature.island,
    "volcano": nature.volcano,
    "parks": nature.park,
    "ocean area ": nature.ocean_area,
    "canal": nature.canal,
}


@dataclass(frozen=True)
class Light:
    """An hour and a weather: the sky from zenith to horizon, the tint of everything, and its contrast."""

    zenith: Colour
    horizon: Colour
    tint: tuple[float, float, float]
    contrast: float


LIGHTS = (
    Light((92, 150, 220), (196, 220, 240), (1.0, 1.0, 1.0), 1.05),
    Light((126, 176, 226), (220, 230, 238), (1.05, 1.03, 0.98), 1.0),
    Light((166, 172, 180), (206, 208, 212), (0.9, 0.93, 0.98), 0.8),
    Light((206, 208, 206), (228, 226, 220), (1.02, 1.0, 0.96), 0.62),
    Light((238, 178, 118), (252, 222, 168), (1.14, 0.96, 0.74), 1.0),
    Light((66, 70, 116), (206, 138, 128), (0.68, 0.62, 0.82), 0.9),
)


def photo(label: str, look: str, landmark: Sequence[int], shot: Sequence[int], size: int) -> Image.Image:
    """Draw one photo of a landmark.

    Args:
        label: its hierarchical label, one of HUMAN_MADE or NATURAL.
        look: its style within the label (see the silhouette's `style` call), or "".
        landmark: whole numbers that seed what is fixed about it.
        shot: whole numbers that seed this photo.
        size: side length in pixels, at least 16.

    Returns:
        An RGB picture of `size` × `size`.
    """
    chance = np.random.default_rng(list(shot))
    light = LIGHTS[int(chance.integers(len(LIGHTS)))]
    fine = max(2, round(256 / size))  # drawn larger, then averaged: smooth edges
    canvas = Canvas(size * fine, _viewpoint(chance), int(chance.choice([-1, 1])))
    canvas.image.paste(_sky(light, canvas.image.size[0], chance))
    traits = Traits(landmark, look)
    _surroundings(canvas, traits, label in NATURAL, light)
    (NATURAL.get(label) or HUMAN_MADE[label])(canvas, traits)
    if chance.random() < 0.35:
        _in_the_way(Canvas.over(canvas), chance)
    picture = canvas.image.resize((size, size), Image.Resampling.BOX)
    if chance.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(float(chance.uniform(0.2, 0.9)) * size / 64))
    return _develop(picture, light, chance)


def _viewpoint(chance: np.random.Generator) -> np.ndarray:
    """Where the photographer stands: an affine map of the scene, around its middle."""
    zoom, turn, squeeze = chance.uniform(0.78, 1.3), np.radians(chance.normal(0, 2.5)), chance.uniform(0.8, 1.12)
    shear = chance.normal(0, 0.05)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = zoom * turned @ np.array([[squeeze, shear], [0.0, 1.0]])
    middle = np.array([0.5, 0.55])
    shift = chance.uniform([-0.13, -0.08], [0.13, 0.1])
    return np.column_stack([linear, middle + shift - linear @ middle])


def _sky(light: Light, pixels: int, chance: np.random.Generator) -> Image.Image:
    rise = np.linspace(0, 1, pixels)[:, None] ** 0.8
    sky = np.array(light.zenith) * (1 - rise) + np.array(light.horizon) * rise
    canvas = Canvas(pixels, np.eye(2, 3), 1)
    canvas.image.paste(Image.fromarray(np.repeat(sky[:, None].astype(np.uint8), pixels, axis=1)))
    for _ in range(int(chance.integers(0, 5))):
        x, y, size = chance.uniform(0, 1), chance.uniform(0.03, 0.4), chance.uniform(0.03, 0.09)
        for dx in (-1.1, 0.0, 0.9):
            tone = mix(light.horizon, (255, 255, 255), 0.4)
            canvas.disc(x + dx * size, y + abs(dx) * size * 0.2, size * 1.2, size * (0.55 - 0.12 * abs(dx)), tone)
    return canvas.image


def _surroundings(canvas: Canvas, traits: Traits, natural: bool, light: Light) -> None:
    """Soft ridges behind nature; a town's outline and level ground behind buildings."""
    level, far = traits.between(0.5, 0.62), traits.pick("hills", "town", "trees", "open")
    crest = traits.ridge(-1.5, 2.5, 22, traits.between(0.02, 0.07))
    hill, ground = traits.material(GREENS + ROCKS), traits.material((*GREENS, *WALLS[:2], (150, 148, 146)))
    if natural or far == "hills":
        canvas.below([(x, level + y) for x, y in crest], mix(hill, light.horizon, 0.55))
        canvas.below([(x, level + 0.08 + 0.6 * y) for x, y in reversed(crest)], mix(hill, light.horizon, 0.3))
    elif far == "town":
        for x, y in crest:
            canvas.box(x - 0.1, level + 1.6 * y, x + 0.1, 0.9, mix(shade(hill, 1.0 + 2 * y), light.horizon, 0.5))
    elif far == "trees":
        for x, y in crest:
            canvas.disc(x, 0.68 + y, 0.13, 0.13, mix(shade(GREENS[1], 1.0 + 2 * y), light.horizon, 0.2))
    if not natural:
        canvas.box(-1.5, 0.74, 2.5, 2.5, ground)
        canvas.polygon([(0.44, 0.75), (0.56, 0.75), (0.8, 1.6), (0.2, 1.6)], shade(ground, 1.14))


def _in_the_way(canvas: Canvas, chance: np.random.Generator) -> None:
    """What stands between camera and landmark: a trunk with leaves, passers-by, a lamp, a railing."""
    what, side = int(chance.integers(4)), int(chance.integers(2))
    x = float(chance.uniform(0.02, 0.2))
    x = 1 - x if side else x
    if what == 0:
        leaf = (44, 66, 40)
        canvas.box(x - 0.03, 0.1, x + 0.03, 1.1, (58, 46, 40))
        for _ in range(9):
            dx, dy = chance.normal(0, 0.1), chance.normal(0.06, 0.07)
            canvas.disc(x + dx, dy, 0.07, 0.06, shade(leaf, float(chance.uniform(0.7, 1.3))))
    elif what == 1:
        for _ in range(int(chance.integers(1, 4))):
            px, coat = float(chance.uniform(0.05, 0.95)), tuple(int(v) for v in chance.integers(30, 200, 3))
            canvas.disc(px, 0.99, 0.045, 0.14, (coat[0], coat[1], coat[2]))
            canvas.disc(px, 0.83, 0.025, 0.03, (196, 158, 132))
    elif what == 2:
        canvas.box(x - 0.009, 0.2, x + 0.009, 1.1, (40, 42, 44))
        canvas.disc(x, 0.19, 0.03, 0.03, (246, 236, 200))
    else:
        top = float(chance.uniform(0.82, 0.9))
        canvas.box(-0.1, top, 1.1, top + 0.02, (52, 50, 50))
        for n in range(14):
            canvas.box(n / 13 - 0.007, top, n / 13 + 0.007, 1.1, (52, 50, 50))


def _develop(picture: Image.Image, light: Light, chance: np.random.Generator) -> Image.Image:
    """The camera: tint, exposure, contrast, white balance, now and then black and white, and noise."""
    pixels = np.asarray(picture, dtype=np.float32)
    balance = np.array(light.tint) * chance.normal(1.0, 0.06, 3) * chance.uniform(0.82, 1.15)
    pixels = pixels * balance.astype(np.float32)
    contrast = np.float32(light.contrast * chance.uniform(0.85, 1.15))
    pixels = 128 + (pixels - 128) * contrast
    if chance.random() < 0.07:
        pixels = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    pixels += chance.normal(0, chance.uniform(1.0, 7.0), pixels.shape).astype(np.float32)
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
