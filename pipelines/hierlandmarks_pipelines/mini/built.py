"""Silhouettes of what people build, one function a label: the label fixes the shape, the traits its proportions."""

from __future__ import annotations

import math

from hierlandmarks_pipelines.mini.canvas import (
    DARK,
    GREENS,
    GROUND,
    ROCKS,
    ROOFS,
    WALLS,
    WATERS,
    WHITE,
    Canvas,
    Colour,
    Traits,
    shade,
)


def church(c: Canvas, t: Traits) -> None:
    """A nave with a gable, a rose window, and one or two towers with spires."""
    wall, roof = t.material(WALLS), t.material(ROOFS)
    half, height, pitch = t.between(0.15, 0.22), t.between(0.13, 0.2), t.between(0.06, 0.11)
    towers = t.pick((-0.9,), (0.0,), (-0.8, 0.8), (0.95,), (-0.55, 0.55))
    width, rise, spire = t.between(0.07, 0.11), t.between(0.2, 0.32), t.between(0.12, 0.26)
    eaves = GROUND - height
    c.block(0.5 - half, eaves, 0.5 + half, GROUND, wall)
    c.polygon([(0.47 - half, eaves), (0.5, eaves - pitch), (0.53 + half, eaves)], roof)
    c.windows((0.52 - half, eaves + 0.03, 0.48 + half, GROUND - 0.03), t.count(4, 7), 1, DARK, 0.45)
    for side in towers:
        x, top = 0.5 + side * half, GROUND - rise
        c.block(x - width / 2, top, x + width / 2, GROUND, shade(wall, 1.06))
        c.cone(x - width * 0.6, x + width * 0.6, top, top - spire, roof)
        c.line([(x, top - spire - 0.045), (x, top - spire)], 0.008, DARK)
        c.line([(x - 0.015, top - spire - 0.028), (x + 0.015, top - spire - 0.028)], 0.008, DARK)
        c.windows((x - width / 3, top + 0.02, x + width / 3, top + 0.1), 2, 1, DARK)
    c.disc(0.5, eaves + 0.01, 0.03, 0.03, t.pick(DARK, (120, 60, 90), (60, 90, 130)))
    c.box(0.48, GROUND - 0.065, 0.52, GROUND, DARK)


def castle(c: Canvas, t: Traits) -> None:
    """A battlemented wall between round towers, a keep and a gate, often on a hill."""
    wall, roof, hill = t.material(WALLS), t.material(ROOFS), t.between(0.0, 0.14)
    base = GROUND - hill
    c.polygon([(0.0, GROUND + 0.04), (0.2, base), (0.8, base), (1.0, GROUND + 0.04)], t.material(GREENS + ROCKS))
    left, right, height = t.between(0.2, 0.28), t.between(0.72, 0.8), t.between(0.12, 0.18)
    pointed, count = t.chance(0.55), t.count(2, 4)
    keep, rise = t.between(0.38, 0.62), t.between(0.26, 0.36)
    c.block(keep - 0.07, base - rise, keep + 0.07, base, shade(wall, 0.92))
    _battlements(c, keep - 0.07, keep + 0.07, base - rise, shade(wall, 0.92), 4)
    if t.chance(0.5):
        c.cone(keep - 0.08, keep + 0.08, base - rise, base - rise - 0.14, roof)
    c.block(left, base - height, right, base, wall)
    _battlements(c, left, right, base - height, wall, t.count(8, 13))
    for number in range(count):
        x = left + (right - left) * number / (count - 1)
        tall, wide = height + t.between(0.04, 0.14), t.between(0.035, 0.055)
        c.block(x - wide, base - tall, x + wide, base, shade(wall, 1.05))
        if pointed:
            c.cone(x - wide * 1.25, x + wide * 1.25, base - tall, base - tall - 0.12, roof)
        else:
            _battlements(c, x - wide, x + wide, base - tall, shade(wall, 1.05), 3)
        c.box(x - 0.006, base - tall + 0.04, x + 0.006, base - tall + 0.08, DARK)
    gate = (left + right) / 2
    c.box(gate - 0.03, base - 0.05, gate + 0.03, base, DARK)
    c.disc(gate, base - 0.05, 0.03, 0.035, DARK, (180, 360))


def _battlements(c: Canvas, left: float, right: float, top: float, colour: Colour, count: int) -> None:
    step = (right - left) / (2 * count - 1)
    for number in range(count):
        x = left + 2 * number * step
        c.box(x, top - 0.025, x + step, top + 0.005, colour)


def museum(c: Canvas, t: Traits) -> None:
    """A wide front with columns, a pediment or dome, and steps; or a glass pyramid before it."""
    wall, roof = t.material(WALLS), t.material(ROOFS)
    half, height, columns = t.between(0.26, 0.38), t.between(0.16, 0.22), t.count(4, 9)
    top, portico = GROUND - height, t.between(0.12, 0.2)
    style = t.style("pediment", "dome", "flat", "pyramid")
    c.block(0.5 - half, top + 0.03, 0.5 + half, GROUND, wall)
    c.windows((0.51 - half, top + 0.05, 0.49 + half, GROUND - 0.02), t.count(9, 14), t.count(1, 2), shade(wall, 0.6))
    if style == "dome":
        c.box(0.42, top - 0.06, 0.58, top + 0.03, shade(wall, 0.9))
        c.dome(0.5, top - 0.06, 0.08, 0.1, roof)
    c.box(0.5 - portico, top, 0.5 + portico, GROUND, shade(wall, 0.55))
    for number in range(columns):
        x = 0.5 - portico + 2 * portico * (number + 0.5) / columns
        wide = 0.45 * portico / columns
        c.block(x - wide, top, x + wide, GROUND, shade(wall, 1.12))
    c.box(0.48 - portico, top - 0.02, 0.52 + portico, top + 0.015, shade(wall, 1.05))
    if style == "pediment":
        c.polygon([(0.47 - portico, top - 0.02), (0.5, top - 0.11), (0.53 + portico, top - 0.02)], shade(wall, 1.0))
        c.polygon([(0.51 - portico, top - 0.028), (0.5, top - 0.09), (0.49 + portico, top - 0.028)], shade(wall, 0.8))
    for step in range(3):
        c.box(
            0.46 - portico - 0.02 * step,
            GROUND + 0.014 * step,
            0.54 + portico + 0.02 * step,
            GROUND + 0.014 * (step + 1),
            shade(wall, 0.95 - 0.1 * step),
        )
    if style == "pyramid":
        c.cone(0.36, 0.64, GROUND + 0.09, GROUND - 0.09, (150, 190, 205))


def bridge(c: Canvas, t: Traits) -> None:
    """A deck over water: hung from two towers, on arches, or a truss."""
    paint = t.material((*WALLS, (188, 74, 52), (94, 116, 108), (104, 110, 122)))
    c.box(-1.5, 0.7, 2.5, 2.5, t.material(WATERS))
    deck, style = t.between(0.52, 0.6), t.style("hung", "arches", "truss")
    if style == "hung":
        a, rise = t.between(0.22, 0.32), t.between(0.2, 0.32)
        b, wide, sag = 1 - a, t.between(0.018, 0.032), t.between(0.7, 0.95)
        for x in (a, b):
            c.block(x - wide, deck - rise, x + wide, 0.78, paint)
            if t.chance(0.5):
                c.box(x - 0.6 * wide, deck - 0.7 * rise, x + 0.6 * wide, deck - 0.3 * rise, shade(paint, 0.6))
        top, out = deck - rise, (b - a) * 0.75
        for start, stop, drop in (
            ((a, top), (b, top), sag * rise),
            ((a - out, deck), (a, top), 0.04),
            ((b, top), (b + out, deck), 0.04),
        ):
            cable = _cable(start, stop, drop)
            c.line(cable, 0.011, shade(paint, 0.85))
            for x, y in cable[1:-1]:
                c.line([(x, y), (x, deck)], 0.004, shade(paint, 0.8))
    elif style == "arches":
        count, depth = t.count(3, 6), t.between(0.14, 0.19)
        step, foot = 0.96 / count, deck + depth
        c.line([(-0.5, deck - 0.03), (1.5, deck - 0.03)], 0.012, shade(paint, 1.1))
        for number in range(-count, 2 * count):
            x, reach = 0.02 + (number + 0.5) * step, 0.4 * step
            arch = [
                (x + reach * math.cos(math.pi * n / 12), foot - 0.75 * depth * math.sin(math.pi * n / 12))
                for n in range(13)
            ]
            c.polygon(
                [(x + step / 2, deck), (x + step / 2, foot), *arch, (x - step / 2, foot), (x - step / 2, deck)], paint
            )
            c.line(arch, 0.012, shade(paint, 0.72))
            c.block(x + reach, foot - 0.01, x + step - reach, foot + 0.09, shade(paint, 0.92))
        if t.chance(0.4):
            for number in range(5):
                c.block(0.18 + 0.13 * number, deck - 0.1, 0.28 + 0.13 * number, deck, t.material(WALLS))
                c.polygon(
                    [
                        (0.17 + 0.13 * number, deck - 0.1),
                        (0.23 + 0.13 * number, deck - 0.14),
                        (0.29 + 0.13 * number, deck - 0.1),
                    ],
                    t.material(ROOFS),
                )
    else:
        rise, bays = t.between(0.1, 0.18), t.count(5, 9)
        xs = [0.05 + 0.9 * n / bays for n in range(bays + 1)]
        arch = [(x, deck - rise * (0.35 + 0.65 * math.sin(math.pi * (x - 0.05) / 0.9))) for x in xs]
        c.line(arch, 0.02, paint)
        for n, (x, y) in enumerate(arch):
            c.line([(x, y), (x, deck)], 0.01, paint)
            if n:
                c.line([(xs[n - 1], deck), (x, y)] if n % 2 else [arch[n - 1], (x, deck)], 0.01, shade(paint, 0.85))
        for x in (0.08, 0.92):
            c.block(x - 0.035, deck - 0.06, x + 0.035, 0.78, shade(paint, 0.8))
    c.box(-1.0, deck - 0.012, 2.0, deck + 0.022, shade(paint, 0.9))


def _cable(start: tuple[float, float], stop: tuple[float, float], sag: float) -> list[tuple[float, float]]:
    """A hanging cable: a parabola between two points, `sag` below the straight line in the middle."""
    (x0, y0), (x1, y1) = start, stop
    shares = [number / 12 for number in range(13)]
    return [(x0 + (x1 - x0) * s, y0 + (y1 - y0) * s + 4 * sag * s * (1 - s)) for s in shares]


def palace(c: Canvas, t: Traits) -> None:
    """A very long front in storeys, a raised middle, wings, and a garden before it."""
    wall, roof = t.material(WALLS), t.material(ROOFS)
    half, height, storeys = t.between(0.38, 0.48), t.between(0.14, 0.2), t.count(2, 4)
    top, middle, style = GROUND - height, t.between(0.07, 0.13), t.style("dome", "mansard", "gable", "domes")
    c.block(0.5 - half, top, 0.5 + half, GROUND, wall)
    c.polygon([(0.49 - half, top), (0.53 - half, top - 0.05), (0.47 + half, top - 0.05), (0.51 + half, top)], roof)
    c.windows((0.51 - half, top + 0.01, 0.49 + half, GROUND - 0.01), t.count(13, 19), storeys, shade(wall, 0.5), 0.55)
    wing = t.between(0.06, 0.1)
    for x in (0.5 - half + wing, 0.5 + half - wing):
        c.block(x - wing, top - 0.03, x + wing, GROUND, shade(wall, 1.06))
        c.windows((x - wing, top - 0.01, x + wing, GROUND - 0.01), 3, storeys, shade(wall, 0.5), 0.5)
        c.polygon([(x - wing - 0.01, top - 0.03), (x, top - 0.1), (x + wing + 0.01, top - 0.03)], roof)
        if style == "domes":
            c.dome(x, top - 0.06, 0.045, 0.08, roof)
    c.block(0.5 - middle, top - 0.06, 0.5 + middle, GROUND, shade(wall, 1.1))
    c.windows((0.5 - middle, top - 0.03, 0.5 + middle, GROUND - 0.02), 4, storeys, shade(wall, 0.45), 0.5)
    if style in ("dome", "domes"):
        c.dome(0.5, top - 0.06, middle * 0.8, 0.12, roof)
        c.line([(0.5, top - 0.23), (0.5, top - 0.17)], 0.01, (220, 190, 90))
    elif style == "mansard":
        c.polygon(
            [
                (0.49 - middle, top - 0.06),
                (0.52 - middle, top - 0.16),
                (0.48 + middle, top - 0.16),
                (0.51 + middle, top - 0.06),
            ],
            roof,
        )
    else:
        c.polygon([(0.48 - middle, top - 0.06), (0.5, top - 0.14), (0.52 + middle, top - 0.06)], shade(wall, 0.95))
    hedge, beds = t.material(GREENS), t.count(2, 4)
    for number in range(beds):
        x = 0.5 + (number - (beds - 1) / 2) * 0.8 / beds
        c.disc(x, GROUND + 0.09, 0.28 / beds, 0.03, hedge)
        c.disc(x, GROUND + 0.09, 0.14 / beds, 0.014, t.pick((190, 70, 80), (220, 190, 90), (150, 190, 205)))


def mosque(c: Canvas, t: Traits) -> None:
    """A great dome over half domes, between slim minarets."""
    wall, dome = t.material(WALLS), t.material((*ROOFS[1:4], (96, 148, 160), (206, 178, 96), (200, 196, 188)))
    half, height, big = t.between(0.2, 0.28), t.between(0.12, 0.18), t.between(0.12, 0.17)
    pairs, rise, slim = t.count(1, 3), t.between(0.36, 0.5), t.between(0.014, 0.022)
    top = GROUND - height
    for pair in range(pairs):
        away, tall = half + 0.035 + 0.07 * pair, rise - 0.09 * pair
        for x in (0.5 - away, 0.5 + away):
            c.block(x - slim, GROUND - tall, x + slim, GROUND, shade(wall, 1.08))
            for level in (0.55, 0.8):
                c.box(
                    x - 1.7 * slim,
                    GROUND - tall * level - 0.006,
                    x + 1.7 * slim,
                    GROUND - tall * level + 0.006,
                    shade(wall, 0.8),
                )
            c.cone(x - slim * 1.3, x + slim * 1.3, GROUND - tall, GROUND - tall - 0.08, dome)
    drum = t.between(0.03, 0.07)
    for x in (0.5 - 0.62 * half, 0.5 + 0.62 * half):
        c.dome(x, top, 0.4 * half, 0.6 * big, shade(dome, 0.93))
    c.block(0.5 - 0.8 * big, top - drum, 0.5 + 0.8 * big, top + 0.02, wall)
    c.dome(0.5, top - drum, 0.85 * big, big, dome)
    c.line([(0.5, top - drum - big - 0.04), (0.5, top - drum - big)], 0.008, (214, 184, 90))
    c.block(0.5 - half, top, 0.5 + half, GROUND, wall)
    arches = t.count(3, 7)
    for number in range(arches):
        x, wide = 0.5 - half + 2 * half * (number + 0.5) / arches, 0.32 * 2 * half / arches
        c.box(x - wide, GROUND - 0.45 * height, x + wide, GROUND, shade(wall, 0.5))
        c.disc(x, GROUND - 0.45 * height, wide, wide * 1.3, shade(wall, 0.5), (180, 360))
    if t.chance(0.5):
        c.box(0.5 - half, top + 0.015, 0.5 + half, top + 0.03, t.pick((70, 120, 160), (60, 130, 110), (170, 80, 60)))


def stadium(c: Canvas, t: Traits) -> None:
    """A bowl of stands around a pitch, seen from above its rim; masts or an arch over it."""
    wall, seats = (
        t.material((*WALLS, (200, 204, 210))),
        t.pick((178, 60, 56), (60, 92, 160), (210, 170, 70), (120, 124, 132)),
    )
    rx, ry, y, height = t.between(0.36, 0.46), t.between(0.12, 0.17), 0.6, t.between(0.1, 0.17)
    style, ribs = t.style("masts", "arch", "ring", "plain"), t.count(9, 16)
    if style == "arch":
        c.line(
            [(0.5 + rx * math.cos(a / 12 * math.pi), y - 0.34 * math.sin(a / 12 * math.pi)) for a in range(13)],
            0.018,
            WHITE,
        )
    c.disc(0.5, y + height, rx * 0.96, ry, shade(wall, 0.8))
    c.box(0.5 - rx * 0.98, y, 0.5 + rx * 0.98, y + height, wall)
    for number in range(ribs):
        x = 0.5 + rx * math.cos(math.pi * (number + 0.5) / ribs) * 0.97
        c.line([(x, y + 0.04), (x, y + height + 0.05)], 0.012, shade(wall, 0.68))
    c.disc(0.5, y, rx, ry, t.pick(WHITE, shade(wall, 1.1), seats) if style == "ring" else shade(seats, 0.75))
    c.disc(0.5, y + 0.01, rx * 0.78, ry * 0.76, seats)
    c.disc(0.5, y + 0.02, rx * 0.55, ry * 0.5, (86, 146, 74))
    for number in range(4):
        x = 0.5 + rx * 0.5 * (number - 1.5) / 2
        c.box(x - rx * 0.05, y + 0.02 - ry * 0.3, x + rx * 0.05, y + 0.02 + ry * 0.3, (100, 162, 86))
    c.line([(0.5, y + 0.02 - ry * 0.42), (0.5, y + 0.02 + ry * 0.42)], 0.006, WHITE)
    if style == "masts":
        for x in (0.5 - rx, 0.5 + rx, 0.5 - rx * 0.55, 0.5 + rx * 0.55):
            c.line([(x, y), (x, y - 0.24)], 0.012, DARK)
            c.box(x - 0.035, y - 0.28, x + 0.035, y - 0.23, (250, 246, 220))
