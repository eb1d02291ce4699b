"""Quality over time as a PNG, drawn with Pillow: nothing above and to the left of a good way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, SCALE = 1000, 560, 2  # drawn larger and reduced, for smooth lines
LEFT, TOP, RIGHT, BOTTOM = 80, 56, 970, 496
OURS, OTHERS, INK, GRID, PAPERS = "#0072B2", "#D55E00", "#202020", "#DDDDDD", "#7F7F7F"
MARK = 6


@dataclass(frozen=True)
class Point:
    """A way: CPU seconds a slice, PSNR in dB, and whether it is a network of this project."""

    name: str
    seconds: float
    psnr: float
    ours: bool


def frontier(points: Sequence[Point]) -> list[Point]:
    """Those that no other beats in both, the fastest first."""
    best: list[Point] = []
    for point in sorted(points, key=lambda one: (one.seconds, -one.psnr)):
        if not best or point.psnr > best[-1].psnr:
            best.append(point)
    return best


def write_pareto(points: Sequence[Point], papers: Mapping[str, float], path: Path) -> None:
    """Draw the points, the line of the best, and the papers' times as upright lines (their weights are random)."""
    from PIL import Image, ImageDraw, ImageFont

    times = [point.seconds for point in points] + list(papers.values())
    first, last = math.log10(min(times) / 1.6), math.log10(max(times) * 1.6)
    worst, best = min(point.psnr for point in points), max(point.psnr for point in points)
    bottom, top = math.floor(worst - 0.5), math.ceil(best + 0.5)

    def place(seconds: float, psnr: float) -> tuple[float, float]:
        x = LEFT + (RIGHT - LEFT) * (math.log10(seconds) - first) / (last - first)
        return SCALE * x, SCALE * (BOTTOM - (BOTTOM - TOP) * (psnr - bottom) / (top - bottom))

    picture = Image.new("RGB", (SCALE * WIDTH, SCALE * HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    font, small = (ImageFont.load_default(size=size * SCALE) for size in (15, 13))

    for exponent in range(math.ceil(first), math.floor(last) + 1):
        for factor in (1, 2, 5):
            if first <= math.log10(factor * 10.0**exponent) <= last:
                x, y = place(factor * 10.0**exponent, bottom)
                draw.line([(x, y), (x, SCALE * TOP)], fill=GRID, width=SCALE)
                draw.text((x, y + 8 * SCALE), f"{factor * 10.0**exponent:g}", fill=INK, font=small, anchor="mt")
    for psnr in range(bottom, top + 1):
        x, y = place(10**first, psnr)
        draw.line([(x, y), (SCALE * RIGHT, y)], fill=GRID, width=SCALE)
        draw.text((x - 8 * SCALE, y), str(psnr), fill=INK, font=small, anchor="rm")
    corners = [place(one.seconds, one.psnr) for one in frontier(points)]
    steps = [
        corner for before, here in zip(corners, corners[1:], strict=False) for corner in ((here[0], before[1]), here)
    ]
    draw.line([*corners[:1], *steps], fill="#9BC4DE", width=2 * SCALE)
    taken: list[tuple[float, float, float, float]] = []
    for k, (name, seconds) in enumerate(papers.items()):
        x, low = place(seconds, bottom)
        for y in range(SCALE * TOP, int(low), 12 * SCALE):
            draw.line([(x, y), (x, min(y + 6 * SCALE, low))], fill=PAPERS, width=SCALE)
        left = x > SCALE * (LEFT + RIGHT) / 2 and k % 2 == 1  # two lines close by: a name on either side
        at, anchor = (x + (-5 if left else 5) * SCALE, low - 24 * SCALE), "rt" if left else "lt"
        draw.text(at, name, fill=PAPERS, font=small, anchor=anchor)
        taken.append(draw.textbbox(at, name, font=small, anchor=anchor))
    for point in points:
        x, y = place(point.seconds, point.psnr)
        taken.append((x - MARK * SCALE, y - MARK * SCALE, x + MARK * SCALE, y + MARK * SCALE))
    for point in sorted(points, key=lambda one: not one.ours):
        _mark(draw, place(point.seconds, point.psnr), point, small, taken)
    draw.rectangle([SCALE * LEFT, SCALE * TOP, SCALE * RIGHT, SCALE * BOTTOM], outline=INK, width=SCALE)
    draw.text(
        (SCALE * LEFT, SCALE * 14), "PSNR (dB) over time: up and left is better", fill=INK, font=font, anchor="lt"
    )
    for x, colour, said in ((600, OURS, "networks of this project"), (800, OTHERS, "classical filters")):
        draw.ellipse([SCALE * (x - 5), SCALE * 18, SCALE * (x + 5), SCALE * 28], fill=colour)
        draw.text((SCALE * (x + 12), SCALE * 23), said, fill=INK, font=small, anchor="lm")
    middle = SCALE * (LEFT + RIGHT) / 2
    draw.text(
        (middle, SCALE * (HEIGHT - 10)), "CPU seconds for a 512x512 slice, one thread", fill=INK, font=font, anchor="mb"
    )
    picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).save(path, format="PNG", optimize=True)


def _mark(draw: Any, at: tuple[float, float], point: Point, font: Any, taken: list[tuple[float, ...]]) -> None:
    """The point, and its name where it covers nothing yet."""
    x, y = at
    colour, away = OURS if point.ours else OTHERS, (MARK + 4) * SCALE
    draw.ellipse([x - MARK * SCALE, y - MARK * SCALE, x + MARK * SCALE, y + MARK * SCALE], fill=colour)
    places = [((x + away, y), "lm"), ((x - away, y), "rm"), ((x, y - away), "mb"), ((x, y + away), "mt")]
    places += [((x + away, y + step * 14 * SCALE), "lm") for step in (-1, 1, -2, 2)]
    places += [((x - away, y + step * 14 * SCALE), "rm") for step in (-1, 1, -2, 2)]

    def box(where: tuple[tuple[float, float], str]) -> tuple[float, ...]:
        return draw.textbbox(where[0], point.name, font=font, anchor=where[1])

    free = [where for where in places if _inside(box(where)) and not any(_meet(box(where), one) for one in taken)]
    chosen = (free or places)[0]
    draw.text(chosen[0], point.name, fill=colour, font=font, anchor=chosen[1])
    taken.append(box(chosen))


def _inside(box: tuple[float, ...]) -> bool:
    return box[0] > SCALE * LEFT and box[2] < SCALE * RIGHT and box[1] > SCALE * TOP and box[3] < SCALE * BOTTOM


def _meet(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
