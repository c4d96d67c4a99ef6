"""Silhouettes of what people build upwards: lighthouses, towers, skyscrapers."""

from __future__ import annotations

import math
from itertools import pairwise

from hierlandmarks_pipelines.mini.canvas import (
    DARK,
    GROUND,
    ROCKS,
    ROOFS,
    WALLS,
    WATERS,
    WHITE,
    Canvas,
    Colour,
    Traits,
    mix,
    shade,
)


def lighthouse(c: Canvas, t: Traits) -> None:
    """A tapered tower with bands and a lantern, on a rock by the sea."""
    paint, body = (
        t.pick((188, 54, 48), (40, 48, 60), (52, 84, 130), (120, 116, 110)),
        t.material((WHITE, WHITE, *WALLS)),
    )
    c.box(-1.5, 0.66, 2.5, 2.5, t.material(WATERS))
    rock = t.material(ROCKS)
    shore = t.pick(-1, 1)
    c.polygon([(0.5 - 0.3, 0.8), (0.38, 0.73), (0.62, 0.72), (0.8, 0.82), (0.5 + 0.8 * shore, 1.2), (0.1, 1.0)], rock)
    c.below([(-1.5, 0.95), (0.2, 0.86), (0.5, 0.79), (0.8, 0.85), (2.5, 0.93)], shade(rock, 0.85))
    top, low, high = t.between(0.24, 0.36), t.between(0.05, 0.08), t.between(0.03, 0.045)
    bands, style = t.count(2, 6), t.style("bands", "plain", "spiral")
    base = 0.78

    def half(y: float) -> float:
        return high + (low - high) * (y - top) / (base - top)

    c.polygon([(0.5 - high, top), (0.5 + high, top), (0.5 + low, base), (0.5 - low, base)], body)
    step = (base - top) / (2 * bands)
    for number in range(bands if style != "plain" else 0):
        y, lift = top + 2 * number * step, 0.6 * step if style == "spiral" else 0.0
        c.polygon(
            [
                (0.5 - half(y), y + lift),
                (0.5 + half(y), y - lift),
                (0.5 + half(y + step), y + step - lift),
                (0.5 - half(y + step), y + step + lift),
            ],
            paint,
        )
    dark = 0.5 - c.sun * low
    c.polygon(
        [(0.5 - c.sun * high, top), (0.5 - c.sun * high * 0.4, top), (0.5 - c.sun * low * 0.4, base), (dark, base)],
        mix(shade(body, 0.7), paint, 0.35 if style != "plain" else 0.0),
    )
    c.box(0.5 - high * 1.5, top - 0.012, 0.5 + high * 1.5, top + 0.006, DARK)
    c.box(0.5 - high * 0.7, top - 0.065, 0.5 + high * 0.7, top - 0.012, (250, 232, 150))
    c.dome(0.5, top - 0.065, high, 0.04, paint)
    if t.chance(0.5):
        x = t.pick(0.34, 0.66)
        c.block(x - 0.07, 0.72, x + 0.07, 0.79, WHITE)
        c.polygon([(x - 0.085, 0.72), (x, 0.67), (x + 0.085, 0.72)], t.material(ROOFS))


def tower(c: Canvas, t: Traits) -> None:
    """One tall slim thing: an iron lattice, a shaft with a pod, a clock tower, a campanile."""
    style = t.style("lattice", "pod", "clock", "arcades")
    top, low = t.between(0.1, 0.2), t.between(0.045, 0.07)
    lean = t.between(-0.07, 0.07) if style == "arcades" else 0.0
    wall, roof = t.material(WALLS), t.material(ROOFS)
    if style == "lattice":
        _lattice(c, t.material(((122, 96, 72), (190, 84, 58), (110, 114, 122))), top, low * 3.2, t.count(2, 3))
    elif style == "pod":
        pod, wide = t.between(top + 0.1, top + 0.24), t.between(0.06, 0.11)
        c.polygon([(0.5 - low * 1.1, GROUND), (0.49, top), (0.51, top), (0.5 + low * 1.1, GROUND)], wall)
        c.polygon(
            [(0.5, GROUND), (0.5, top), (0.51, top), (0.5 + low, GROUND)]
            if c.sun < 0
            else [(0.5, GROUND), (0.5, top), (0.49, top), (0.5 - low, GROUND)],
            shade(wall, 0.75),
        )
        c.disc(0.5, pod, wide, t.between(0.025, 0.08), shade(wall, 0.9))
        c.disc(0.5, pod - 0.01, wide * 0.95, 0.015, DARK)
        c.line([(0.5, top), (0.5, top - 0.12)], 0.012, t.pick((190, 60, 50), DARK, WHITE))
    else:
        shaft = [(0.5 - low, GROUND), (0.5 + low, GROUND), (0.5 + low + lean, top + 0.1), (0.5 - low + lean, top + 0.1)]
        c.polygon(shaft, wall)
        side = -c.sun * low
        c.polygon(
            [
                (0.5 + side, GROUND),
                (0.5 + side * 0.4, GROUND),
                (0.5 + side * 0.4 + lean, top + 0.1),
                (0.5 + side + lean, top + 0.1),
            ],
            shade(wall, 0.72),
        )
        floors = t.count(4, 8)
        for number in range(floors):
            share = number / floors
            y, x = GROUND + (top + 0.1 - GROUND) * share, 0.5 + lean * share
            c.box(x - low * 1.12, y - 0.012, x + low * 1.12, y, shade(wall, 0.8))
            if style == "arcades":
                c.windows((x - low, y - 0.06, x + low, y - 0.015), 4, 1, shade(wall, 0.45), 0.5)
        x = 0.5 + lean
        c.box(x - low * 1.15, top + 0.02, x + low * 1.15, top + 0.12, shade(wall, 1.1))
        if style == "clock":
            c.disc(x, top + 0.07, low * 0.8, low * 0.8, WHITE)
            c.line([(x, top + 0.07), (x, top + 0.035)], 0.008, DARK)
            c.line([(x, top + 0.07), (x + 0.02, top + 0.08)], 0.008, DARK)
            c.cone(x - low * 1.2, x + low * 1.2, top + 0.02, top - 0.1, roof)
        else:
            c.windows((x - low, top + 0.03, x + low, top + 0.11), 3, 1, DARK, 0.5)
            c.box(x - low * 0.8, top - 0.03, x + low * 0.8, top + 0.02, shade(wall, 0.95))


def _lattice(c: Canvas, iron: Colour, top: float, low: float, decks: int) -> None:
    """An iron tower: two curved legs, crossings between them, and viewing decks."""
    heights = [GROUND + (top - GROUND) * n / 14 for n in range(15)]

    def half(y: float) -> float:
        return 0.008 + low * math.pow(max(0.0, (y - top) / (GROUND - top)), 2.2)

    for side in (-1, 1):
        outer = [(0.5 + side * half(y), y) for y in heights]
        inner = [(0.5 + side * half(y) * 0.62, y) for y in reversed(heights)]
        c.polygon([*outer, *inner], shade(iron, 0.8 if side == -c.sun else 1.0))
    for a, b in pairwise(heights[4:]):
        c.line([(0.5 - half(a), a), (0.5 + half(b), b)], 0.006, iron)
        c.line([(0.5 + half(a), a), (0.5 - half(b), b)], 0.006, iron)
    for n in range(decks):
        y = heights[4 + 4 * n]
        c.box(0.49 - half(y), y - 0.012, 0.51 + half(y), y + 0.012, shade(iron, 0.9))
    c.disc(0.5, GROUND, low * 0.55, 0.09, mix(iron, (200, 210, 220), 0.6), (180, 360))
    c.line([(0.5, top), (0.5, top - 0.06)], 0.01, iron)


def skyscraper(c: Canvas, t: Traits) -> None:
    """A tall body in setbacks with a grid of windows, among lower blocks."""
    wall = t.material((*WALLS, (120, 146, 168), (96, 116, 140), (150, 170, 178)))
    glass = t.pick(shade(wall, 0.55), (70, 96, 122), (196, 214, 224))
    style, crown = t.style("setbacks", "taper", "twins", "slab"), t.pick("spire", "flat", "spire", "slope")
    top, half, rows = t.between(0.14, 0.24), t.between(0.07, 0.11), t.count(14, 22)
    for number in range(7):  # the city around it
        x, tall, grey = -0.05 + number * 0.18 + t.between(-0.04, 0.04), t.between(0.1, 0.3), t.material(WALLS)
        c.block(x - 0.07, GROUND - tall, x + 0.07, GROUND, mix(grey, (130, 140, 152), 0.6))
        c.windows((x - 0.06, GROUND - tall + 0.01, x + 0.06, GROUND - 0.01), 4, 7, mix(grey, (90, 100, 112), 0.7))
    for x in (0.5 - half, 0.5 + half) if style == "twins" else (0.5,):
        wide = half * 0.75 if style == "twins" else half
        if style == "taper":
            c.polygon([(x - wide, GROUND), (x - wide * 0.25, top), (x + wide * 0.25, top), (x + wide, GROUND)], wall)
            for number in range(rows):
                y = GROUND + (top - GROUND) * (number + 0.5) / rows
                reach = wide * (1 - 0.75 * (number + 0.5) / rows) * 0.85
                c.box(x - reach, y - 0.006, x + reach, y + 0.006, glass)
        else:
            levels = ((1.0, 0.0), (0.75, 0.45), (0.5, 0.75)) if style != "slab" else ((1.0, 0.0),)
            for (share, start), stop in zip(levels, [*(lv[1] for lv in levels[1:]), 1.0], strict=True):
                a, b = GROUND + (top - GROUND) * stop, GROUND + (top - GROUND) * start
                c.block(x - wide * share, a, x + wide * share, b, wall)
                c.windows(
                    (x - wide * share, a, x + wide * share, b),
                    t.count(4, 6),
                    max(2, round(rows * (stop - start))),
                    glass,
                )
        if crown == "spire":
            c.cone(x - wide * 0.25, x + wide * 0.25, top, top - 0.12, shade(wall, 0.9))
        elif crown == "slope":
            c.polygon([(x - wide * 0.4, top), (x + wide * 0.4, top), (x + wide * 0.4, top - 0.07)], shade(wall, 0.85))
    if style == "twins":
        c.box(0.5 - half, 0.46, 0.5 + half, 0.485, shade(wall, 0.8))
