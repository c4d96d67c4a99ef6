"""Silhouettes of what nature makes (and of what GLDv2 counts as natural), one function a label."""

from __future__ import annotations

import math

from hierlandmarks_pipelines.mini.canvas import (
    DARK,
    GREENS,
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

SNOW: Colour = (240, 244, 250)
SAND: Colour = (222, 204, 160)


def mountain(c: Canvas, t: Traits) -> None:
    """One to three jagged peaks with snow, over foothills."""
    rock, peaks = t.material(ROCKS), t.count(1, 3)
    for number in range(peaks):
        main = number == peaks - 1
        x = t.between(0.42, 0.58) if main else t.pick(0.12, 0.25, 0.8, 0.9)
        top, half = (
            (t.between(0.14, 0.26), t.between(0.32, 0.48)) if main else (t.between(0.3, 0.42), t.between(0.25, 0.35))
        )
        _peak(c, t, (x, top), half, rock if main else mix(rock, (150, 165, 190), 0.4))
    _foothills(c, t, 0.78)


def _peak(c: Canvas, t: Traits, summit: tuple[float, float], half: float, rock: Colour) -> None:
    x, top = summit
    base, skew, jag, snow = 0.85, t.between(-0.35, 0.35), t.between(0.02, 0.05), t.between(0.2, 0.55)
    left = [(x - half * (1 - s), base + (top - base) * s + dy) for s, dy in t.ridge(0.0, 0.9, 6, jag)]
    right = [(x + half * (1 + skew) * s, top + (base - top) * s + dy) for s, dy in t.ridge(0.1, 1.0, 6, jag)]
    c.polygon([*left, (x, top), *right], rock)
    dark = right if c.sun < 0 else left[::-1]
    c.polygon([(x, top), *dark, (x, base)], shade(rock, 0.7))
    line = top + (base - top) * snow
    cap = [(px, py) for px, py in (*left, (x, top), *right) if py < line]
    if len(cap) > 1:
        (a, _), (b, _) = cap[0], cap[-1]
        teeth = [(b + (a - b) * n / 6, line + (0.05 if n % 2 else -0.02)) for n in range(7)]
        c.polygon([*cap, *teeth], SNOW)
        c.polygon([(x, top), *(p for p in dark if p[1] < line), (x, line)], shade(SNOW, 0.82))


def _foothills(c: Canvas, t: Traits, height: float) -> None:
    green = t.material(GREENS)
    c.below([(x, height + dy) for x, dy in t.ridge(-1.5, 2.5, 14, 0.03)], shade(green, 0.85))
    c.below([(x, height + 0.1 + dy) for x, dy in t.ridge(-1.5, 2.5, 12, 0.03)], green)


def lake(c: Canvas, t: Traits) -> None:
    """Still water between wooded shores under mountains, with their reflection; sometimes an islet."""
    water, green = t.material(WATERS), t.material(GREENS)
    crest = t.ridge(-1.5, 2.5, 22, t.between(0.05, 0.1))
    far = mix(t.material(ROCKS), (140, 160, 185), 0.35)
    shore = t.between(0.54, 0.6)
    ridge = [(x, shore - 0.17 + dy) for x, dy in crest]
    c.below(ridge, far)
    c.below([(x, shore - 0.03 + dy) for x, dy in t.ridge(-1.5, 2.5, 26, 0.025)], shade(green, 0.7))
    c.box(-1.5, shore, 2.5, 2.5, water)
    c.polygon([(x, shore + 0.85 * (shore - y)) for x, y in ridge] + [(2.5, shore), (-1.5, shore)], mix(water, far, 0.4))
    for number in range(6):
        y = shore + 0.05 + number * 0.055
        x = 0.5 + t.between(-0.4, 0.4)
        c.line([(x - 0.18, y), (x + 0.18, y)], 0.006, shade(water, 1.2))
    near, side = t.between(0.84, 0.92), t.pick(-1, 1)
    c.below(
        [(-1.5, near + 0.1 * side), (0.2, near + 0.05 * side), (0.7, near - 0.05 * side), (2.5, near - 0.12 * side)],
        green,
    )
    if t.chance(0.55):
        x = t.between(0.3, 0.7)
        c.disc(x, shore + 0.09, 0.11, 0.025, shade(green, 0.8))
        for dx in (-0.06, -0.02, 0.04):
            c.disc(x + dx, shore + 0.06, 0.03, 0.04, shade(green, 0.75))
        if t.chance(0.6):
            c.box(x, shore - 0.04, x + 0.035, shore + 0.07, WHITE)
            c.cone(x - 0.005, x + 0.04, shore - 0.04, shore - 0.12, t.material(ROOFS))


def waterfall(c: Canvas, t: Traits) -> None:
    """White water down a cliff: one tall fall, several side by side, or in steps, with mist and a pool."""
    rock, green, foam = t.material(ROCKS), t.material(GREENS), (236, 244, 248)
    lip, foot = t.between(0.2, 0.32), t.between(0.7, 0.78)
    style = t.style("single", "curtain", "several", "steps")
    c.below([(x, lip + dy) for x, dy in t.ridge(-1.5, 2.5, 16, 0.03)], rock)
    for x, dy in t.ridge(-0.5, 1.5, 22, 0.1):
        c.line([(x, lip + 0.06 + abs(dy)), (x + 0.02, foot)], 0.02, shade(rock, 0.78 if dy > 0 else 1.12))
    c.box(-1.5, foot, 2.5, 2.5, t.material(WATERS))
    for x, dy in t.ridge(-0.6, 1.6, 20, 0.025):
        c.disc(x, lip - 0.01 + dy, 0.07, 0.05, shade(green, 0.85 + 4 * dy))
    falls = {
        "single": ((0.5, t.between(0.05, 0.09)),),
        "curtain": ((0.5, t.between(0.24, 0.34)),),
        "several": tuple((0.22 + 0.19 * n, t.between(0.025, 0.06)) for n in range(4)),
        "steps": ((0.44, 0.1), (0.55, 0.13)),
    }[style]
    for number, (x, half) in enumerate(falls):
        split = lip + (foot - lip) * (0.5 if style == "steps" else 1.0)
        top, bottom = (lip - 0.02, split) if number == 0 or style != "steps" else (split, foot)
        c.polygon([(x - half, top), (x + half, top), (x + half * 1.2, bottom), (x - half * 1.2, bottom)], foam)
        for _ in range(max(2, round(half * 40))):
            sx = x - half * 0.9 + 1.8 * half * t.between(0, 1)
            c.line([(sx, top), (sx, bottom)], 0.008, (184, 210, 224))
        c.disc(x, bottom, half * 1.5, 0.04, WHITE)
    c.below(
        [(-1.5, 0.95), (0.2, 0.9 + t.between(-0.04, 0.04)), (0.8, 0.9 + t.between(-0.04, 0.04)), (2.5, 0.96)], green
    )


def island(c: Canvas, t: Traits) -> None:
    """Land with sea all around it: one hump or several, a beach, trees, perhaps a village on top."""
    water, land = t.material(WATERS), t.material(GREENS + ROCKS)
    sea = t.between(0.5, 0.56)
    c.box(-1.5, sea, 2.5, 2.5, water)
    humps, half, foot = t.count(1, 3), t.between(0.26, 0.4), t.between(0.64, 0.7)
    c.disc(0.5, foot + 0.01, half * 1.12, 0.035, t.pick(SAND, shade(land, 0.7)))
    for number in range(humps):
        x = 0.5 + (number - (humps - 1) / 2) * half * 0.9 + t.between(-0.04, 0.04)
        rise = t.between(0.1, 0.26)
        c.disc(x, foot, half / humps * 1.3, rise, shade(land, t.between(0.85, 1.05)), (180, 360))
        c.disc(x - c.sun * half / humps * 0.5, foot, half / humps * 0.75, rise * 0.75, shade(land, 0.75), (180, 360))
    top = t.style("village", "trees", "bare")
    for _ in range(t.count(4, 8) if top != "bare" else 0):
        x = 0.5 + half * t.between(-0.75, 0.75)
        if top == "village":
            c.block(x - 0.02, foot - 0.07, x + 0.02, foot - 0.01, WHITE)
            c.polygon([(x - 0.025, foot - 0.07), (x, foot - 0.1), (x + 0.025, foot - 0.07)], (176, 90, 66))
        else:
            c.line([(x, foot - 0.01), (x, foot - 0.09)], 0.008, (96, 76, 56))
            c.disc(x, foot - 0.1, 0.03, 0.03, shade(land, 0.6))
    if top == "village" and t.chance(0.7):
        c.block(0.47, foot - 0.3, 0.53, foot - 0.08, t.material(WALLS))
        c.cone(0.46, 0.54, foot - 0.3, foot - 0.42, t.material(ROOFS))
    _waves(c, t, sea + 0.2, water)


def _waves(c: Canvas, t: Traits, top: float, water: Colour) -> None:
    for number in range(9):
        y, x = top + 0.035 * number, t.between(-0.1, 0.9)
        c.line([(x, y), (x + 0.12, y + 0.008), (x + 0.24, y)], 0.008, shade(water, 1.22))


def volcano(c: Canvas, t: Traits) -> None:
    """A lone cone with a crater, a plume of smoke, snow or lava on its sides."""
    rock, x, top = t.material(ROCKS), t.between(0.42, 0.58), t.between(0.28, 0.4)
    half, rim, sag = t.between(0.36, 0.55), t.between(0.05, 0.11), t.between(1.4, 2.2)
    lean, puffs = t.between(-0.12, 0.12), t.count(3, 7)
    for number in range(puffs):
        share = (number + 1) / puffs
        c.disc(
            x + lean * 3 * share**1.5,
            top - 0.04 - 0.2 * share,
            0.035 + 0.07 * share,
            0.03 + 0.05 * share,
            mix((120, 116, 118), (226, 224, 224), share),
        )
    steps = [n / 10 for n in range(11)]
    left = [(x - rim - (half - rim) * s**sag, top + (0.8 - top) * s) for s in steps]
    right = [(x + rim + (half - rim) * s**sag, top + (0.8 - top) * s) for s in steps]
    crater = [(x - rim * 0.4, top + 0.03), (x + rim * 0.4, top + 0.03)]
    c.polygon([*left[::-1], *crater, *right], rock)
    dark = left if c.sun > 0 else right
    c.polygon([*dark, (x, 0.8), (x, top + 0.03)], shade(rock, 0.72))
    skin = t.style("snow", "lava", "bare")
    if skin == "snow":
        teeth = [
            (right[4][0] + (left[4][0] - right[4][0]) * n / 8, right[4][1] + (0.05 if n % 2 else -0.03))
            for n in range(9)
        ]
        c.polygon([*left[3::-1], *crater, *right[:4], *teeth], SNOW)
    elif skin == "lava":
        for _ in range(t.count(2, 4)):
            sx = x + t.between(-0.8, 0.8) * rim
            c.line(
                [(sx, top + 0.02), (sx + t.between(-0.1, 0.1), top + 0.16), (sx + t.between(-0.2, 0.2), top + 0.32)],
                0.018,
                (226, 92, 40),
            )
    _foothills(c, t, 0.76)


def park(c: Canvas, t: Traits) -> None:
    """Lawns, round trees, a path, a pond, and the town beyond."""
    lawn, leaf = t.material(((124, 158, 78), (106, 150, 84))), t.material(GREENS)
    horizon = t.between(0.5, 0.56)
    if t.chance(0.6):
        for number in range(8):
            x, tall = number * 0.15 - 0.05, t.between(0.06, 0.24)
            c.block(x - 0.05, horizon - tall, x + 0.05, horizon + 0.02, mix(t.material(WALLS), (150, 165, 185), 0.5))
    for x, dy in t.ridge(-0.6, 1.6, 24, 0.03):
        c.disc(x, horizon - 0.02 + dy, 0.07, 0.07, shade(leaf, 0.7))
    c.box(-1.5, horizon, 2.5, 2.5, lawn)
    bend, path = t.between(-0.3, 0.3), t.pick(SAND, (186, 178, 170))
    c.polygon(
        [
            (0.46 + bend, horizon),
            (0.5 + bend, horizon),
            (0.6 - bend, 0.75),
            (0.75, 1.5),
            (0.25, 1.5),
            (0.44 - bend, 0.75),
        ],
        path,
    )
    if t.chance(0.5):
        x, y = t.pick(0.2, 0.78), t.between(0.68, 0.78)
        c.disc(x, y, 0.19, 0.05, t.material(WATERS))
        if t.chance(0.5):
            c.line([(x, y), (x, y - 0.14)], 0.016, WHITE)
            c.disc(x, y - 0.13, 0.05, 0.03, WHITE)
    for _ in range(t.count(3, 6)):
        x, y, size = (
            t.pick(0.05, 0.2, 0.34, 0.68, 0.82, 0.95) + t.between(-0.04, 0.04),
            t.between(0.6, 0.8),
            t.between(0.07, 0.13),
        )
        c.box(x - 0.012, y - size, x + 0.012, y, (98, 78, 58))
        crown = shade(leaf, t.between(0.8, 1.1))
        c.disc(x, y - size * 1.6, size * 0.8, size, crown)
        c.disc(x + c.sun * size * 0.25, y - size * 1.8, size * 0.45, size * 0.55, shade(crown, 1.15))
    if t.chance(0.4):
        c.box(0.46, 0.66, 0.56, 0.68, (120, 84, 58))
        c.box(0.46, 0.63, 0.56, 0.64, (120, 84, 58))


def ocean_area(c: Canvas, t: Traits) -> None:
    """Open water between headlands or the walls of a fjord, with waves and sails."""
    water, land = t.material(WATERS), t.material(GREENS + ROCKS)
    sea, style = t.between(0.46, 0.54), t.style("bay", "fjord", "karst", "strait")
    c.below([(x, sea - 0.05 + dy) for x, dy in t.ridge(-1.5, 2.5, 18, 0.03)], mix(land, (160, 180, 200), 0.55))
    c.box(-1.5, sea, 2.5, 2.5, water)
    if style == "karst":
        for _ in range(t.count(4, 6)):
            x, rise, half = t.between(0.0, 1.0), t.between(0.1, 0.28), t.between(0.04, 0.08)
            c.disc(x, sea + 0.05, half, rise, shade(land, t.between(0.75, 1.0)), (180, 360))
    else:
        reach, rise = {"bay": (0.34, 0.1), "fjord": (0.44, 0.4), "strait": (0.4, 0.16)}[style]
        for side in (-1, 1):
            far, tall = reach * t.between(0.8, 1.1), rise * t.between(0.8, 1.15)
            x = 0.5 - side * 0.5
            c.polygon(
                [
                    (x - side, sea + 0.03),
                    (x - side, sea - tall * 1.3),
                    (x, sea - tall),
                    (x + side * far * 0.6, sea - tall * 0.55),
                    (x + side * far, sea + 0.01),
                    (x + side * far * 0.5, sea + 0.05),
                ],
                shade(land, 0.72 if side == c.sun else 0.98),
            )
    _waves(c, t, sea + 0.1, water)
    for _ in range(t.count(1, 4)):
        x, y, size = t.between(0.2, 0.8), t.between(sea + 0.06, sea + 0.3), t.between(0.05, 0.1)
        c.polygon([(x, y - size * 1.6), (x, y - 0.01), (x + size * 0.8, y - 0.01)], WHITE)
        c.polygon(
            [(x - size * 0.6, y), (x + size * 0.9, y), (x + size * 0.6, y + 0.02), (x - size * 0.4, y + 0.02)], DARK
        )


def canal(c: Canvas, t: Traits) -> None:
    """Straight water running away between two quays, lined by houses, trees or bare cuttings."""
    water, quay = t.material(WATERS), t.material((*WALLS, *ROCKS))
    horizon, x = t.between(0.42, 0.5), t.between(0.44, 0.56)
    bank, style = t.material(GREENS), t.style("houses", "trees", "cutting")
    c.box(-1.5, horizon, 2.5, 2.5, bank if style != "houses" else shade(quay, 0.9))
    near, count, wide = t.between(0.34, 0.46), t.count(4, 6), 0.035
    for side in (-1, 1):
        for number in range(count):  # from far to near, growing
            share = ((number + 1) / count) ** 1.6
            place, size = x + side * (wide + near * 1.25 * share), 0.06 + 0.36 * share
            foot = horizon + 0.42 * share
            if style == "houses":
                tint, roof, half = t.material(WALLS), t.material(ROOFS), 0.04 + 0.16 * share
                c.block(place - half, foot - size, place + half, foot + 0.02, tint)
                c.windows((place - half, foot - size + 0.01, place + half, foot - 0.02), 3, 3, shade(tint, 0.5))
                c.polygon([(place - half, foot - size), (place, foot - size * 1.25), (place + half, foot - size)], roof)
            elif style == "trees":
                c.box(place - 0.03 * share, foot - size * 0.5, place + 0.03 * share, foot, (98, 78, 58))
                c.disc(place, foot - size * 0.7, 0.03 + 0.12 * share, size * 0.4, shade(bank, t.between(0.7, 0.95)))
        if style == "cutting":
            c.polygon(
                [
                    (x + side * wide, horizon),
                    (x + side * 1.6, horizon - 0.34),
                    (x + side * 1.6, 1.4),
                    (x + side * near * 1.9, 1.4),
                ],
                shade(quay, 0.7 if side == c.sun else 1.0),
            )
    c.polygon(
        [(x - wide * 1.3, horizon), (x + wide * 1.3, horizon), (x + near * 1.9, 1.4), (x - near * 1.9, 1.4)],
        shade(quay, 0.7),
    )
    c.polygon([(x - wide, horizon), (x + wide, horizon), (x + near * 1.75, 1.4), (x - near * 1.75, 1.4)], water)
    for number in range(5):
        y = horizon + 0.1 + 0.09 * number
        c.line([(x - 0.06 - 0.04 * number, y), (x + 0.05 + 0.02 * number, y)], 0.007, shade(water, 1.2))
    if t.chance(0.5):
        y, size = t.between(0.62, 0.76), t.between(0.09, 0.14)
        c.polygon(
            [(x - size, y), (x + size, y), (x + size * 0.7, y + 0.04), (x - size * 0.7, y + 0.04)],
            t.pick(DARK, (150, 60, 50), WHITE),
        )
        c.box(x - size * 0.4, y - 0.04, x + size * 0.4, y, WHITE)
    if t.chance(0.4):
        span = [
            (x + 0.34 * math.cos(math.pi * n / 12), horizon + 0.13 - 0.14 * math.sin(math.pi * n / 12))
            for n in range(13)
        ]
        c.line(span, 0.035, shade(quay, 0.85))
