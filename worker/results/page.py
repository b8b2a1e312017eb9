"""The page for people: three pictures that any viewer shows, of numbers, coronal and axial slices.

No patient identity is drawn: the viewer shows that of the header, and a picture that is passed on names nobody.
"""

import textwrap
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from worker.analysis import goh, zones
from worker.analysis.records import Assessment, Quantity, Region, Side, Zone
from worker.analysis.serial import Comparison
from worker.reading import exam
from worker.results import page_sheet
from worker.results.page_overlays import draw_pairs
from worker.results.page_sheet import BACKGROUND, DIM, MARGIN, PATTERNS, RULE, TEXT, Shown, begun, font

RIGHT_HALF = 510


def frames(shown: Shown) -> list[Image.Image]:
    """Return summary, coronal and axial overlays, each RGB of 1024 × 1024."""
    return [
        _summary(shown),
        draw_pairs(shown, 1, "Coronal, front to back"),
        draw_pairs(shown, 0, "Axial, head to feet"),
    ]


def _summary(shown: Shown) -> Image.Image:
    sheet, draw = begun(shown, "Interstitial lung disease on CT")
    found = shown.assessment
    _total(draw, found)
    for number, region in enumerate(PATTERNS):
        _pattern(draw, found, region, 232 + 44 * number)
    _lungs(sheet, draw, shown)
    _facts(draw, 392, "Lungs", list(_lung_lines(found)))
    flags = ", ".join(flag.code.replace("_", " ") for flag in found.flags)
    _facts(
        draw,
        650,
        "Quality flags",
        textwrap.wrap(flags or "none", 42, break_long_words=False, break_on_hyphens=False)[:8],
    )
    _facts(draw, 650, "Change since the earlier exam", list(_change_lines(shown.comparison)), RIGHT_HALF)
    return sheet


def _number(
    found: Assessment, region: Region, quantity: Quantity, side: Side = Side.BOTH, zone: str = "whole"
) -> float:
    """Return a number, NaN where it was not measured."""
    try:
        return found.value(region, quantity, side, zone)
    except KeyError:
        return float("nan")


def _between(found: Assessment, region: Region) -> str:
    """Return the bounds of an extent; empty where it has none."""
    low, high = (_number(found, region, bound) for bound in (Quantity.EXTENT_LOWER, Quantity.EXTENT_UPPER))
    return "" if np.isnan(low) else f"{low:.1f} to {high:.1f}"


def _total(draw: ImageDraw.ImageDraw, found: Assessment) -> None:
    total = _number(found, Region.TOTAL, Quantity.EXTENT)
    draw.text((MARGIN, 84), "Diseased share of both lungs", DIM, font(18))
    draw.text((MARGIN, 108), f"{total:.1f} %", TEXT, font(58, bold=True))
    draw.text((MARGIN + 250, 124), _between(found, Region.TOTAL), TEXT, font(22))
    draw.text((MARGIN + 250, 152), "95 % interval", DIM, font(16))
    draw.text((MARGIN, 186), f"Goh: {goh.category(total).words}", TEXT, font(22, bold=True))


def _pattern(draw: ImageDraw.ImageDraw, found: Assessment, region: Region, top: int) -> None:
    name, colour = PATTERNS[region]
    draw.rectangle((MARGIN, top + 4, MARGIN + 18, top + 22), colour)
    draw.text((MARGIN + 28, top), name, TEXT, font(20))
    draw.text(
        (MARGIN + 270, top), f"{_number(found, region, Quantity.EXTENT):.1f} %", TEXT, font(20, bold=True), anchor="ra"
    )
    draw.text((MARGIN + 290, top + 2), _between(found, region), DIM, font(18))


def _facts(draw: ImageDraw.ImageDraw, top: int, title: str, lines: list[str], left: int = MARGIN) -> None:
    draw.text((left, top), title, TEXT, font(20, bold=True))
    for number, line in enumerate(lines, start=1):
        draw.text((left, top + 6 + 27 * number), line, TEXT, font(18))


def _lung_lines(found: Assessment) -> Iterator[str]:
    sides = (Side.BOTH, Side.RIGHT, Side.LEFT)
    both, right, left = (_number(found, Region.LUNG, Quantity.VOLUME, side) for side in sides)
    yield f"Volume  {both:.0f} ml   (R {right:.0f}, L {left:.0f})"
    mean, deviation = (_number(found, Region.LUNG, q) for q in (Quantity.MEAN_ATTENUATION, Quantity.ATTENUATION_SD))
    yield f"Attenuation  {mean:.0f} ± {deviation:.0f} HU".replace("-", "−")
    yield f"−600 to −250 HU  {_number(found, Region.LUNG, Quantity.HIGH_ATTENUATION):.1f} %"
    shape = (_number(found, Region.LUNG, quantity) for quantity in (Quantity.SKEWNESS, Quantity.KURTOSIS))
    yield "Skewness {:.2f}, excess kurtosis {:.2f}".format(*shape)
    levels = _number(found, Region.TOTAL, Quantity.FIVE_LEVEL_EXTENT)
    yield "Five levels: carina not seen" if np.isnan(levels) else f"Five levels, approximate  {levels:.1f} %"
    if worst := zones.worst(found):
        yield f"Worst zone: {worst.side} {worst.zone}, {worst.value:.1f} %"


def _change_lines(comparison: Comparison | None) -> Iterator[str]:
    if comparison is None:
        yield "No earlier exam of this patient was measured here."
        return
    yield f"Compared with {exam.day(comparison.earlier.exam.acquired) or page_sheet.NO_DAY}, in points of extent"
    for change in comparison.changes:
        name = PATTERNS[change.region][0] if change.region in PATTERNS else "Disease"
        interval = "" if change.lower is None else f"  ({change.lower:+.1f} to {change.upper:+.1f})"
        yield f"{name}  {change.points:+.1f}{interval}".replace("-", "−") + f"  {change.verdict()}"
    if comparison.caveats:
        yield f"Caution: {', '.join(comparison.caveats).replace('_', ' ')}"


def _lungs(sheet: Image.Image, draw: ImageDraw.ImageDraw, shown: Shown) -> None:
    """Draw the shadow of both lungs in their zones, and beside each zone its extents as a bar of 100 %."""
    labels = shown.volume.to_anatomical(shown.lungs.labels)
    left, top, width, height = 560, 110, 330, 400
    shadow = np.where((labels == 2).any(axis=1), 2, (labels == 1).any(axis=1))[::-1].astype(np.uint8)
    if not shadow.any():
        return
    rows, columns = (np.flatnonzero(shadow.any(axis=axis)) for axis in (1, 0))
    cropped = _smooth(shadow[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], (width, height))
    drawn = np.full((height, width, 3), BACKGROUND, np.uint8)
    for label, side in ((1, Side.RIGHT), (2, Side.LEFT)):
        mask = cropped == label
        held = np.flatnonzero(mask.any(axis=1))
        if not len(held):
            continue
        for number, zone in enumerate(Zone):
            third = np.linspace(held[0], held[-1] + 1, 4).round().astype(int)[number : number + 2]
            here = np.zeros_like(mask)
            here[third[0] + 2 : third[1]] = mask[third[0] + 2 : third[1]]
            extent = _number(shown.assessment, Region.TOTAL, Quantity.EXTENT, side, zone)
            drawn[here] = _shade(extent)
            _zone_bar(draw, shown.assessment, (side, zone), top + int(third.mean()))
    sheet.paste(Image.fromarray(drawn), (left, top))
    for label, side in ((1, Side.RIGHT), (2, Side.LEFT)):
        _zone_numbers(draw, shown.assessment, side, cropped == label, (left, top))
    draw.text((left, top - 26), "R", TEXT, font(20, bold=True))
    draw.text((left + width, top - 26), "L", TEXT, font(20, bold=True), anchor="ra")
    draw.text(
        (left + width / 2, top + height + 12),
        "zones: thirds of each lung by height; a bar is all of its zone",
        DIM,
        font(15),
        anchor="ma",
    )


def _smooth(shadow: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Enlarge labels without the steps of thick slices."""
    shares = [
        np.asarray(Image.fromarray(np.where(shadow == label, 255, 0).astype(np.uint8)).resize(size, 3))
        for label in (1, 2)
    ]
    return np.where(shares[1] > 127, 2, shares[0] > 127).astype(np.uint8)


def _shade(extent: float) -> tuple[int, int, int]:
    """Return grey for a healthy zone, brighter and bluer the more of it is diseased; full at 60 %."""
    share = min(max(extent, 0.0) / 60, 1.0) ** 0.6
    return int(48 + 40 * share), int(54 + 80 * share), int(64 + 150 * share)


def _zone_numbers(
    draw: ImageDraw.ImageDraw, found: Assessment, side: Side, mask: NDArray[np.bool_], corner: tuple[int, int]
) -> None:
    held = np.flatnonzero(mask.any(axis=1))
    for number, zone in enumerate(Zone):
        if not len(held):
            return
        third = np.linspace(held[0], held[-1] + 1, 4)[number : number + 2]
        row = min(int(third.mean()), mask.shape[0] - 1)
        column = float(np.median(np.flatnonzero(mask[row]))) if mask[row].any() else mask.shape[1] / 2
        extent = _number(found, Region.TOTAL, Quantity.EXTENT, side, zone)
        at = corner[0] + column, corner[1] + row
        draw.text(at, f"{extent:.0f} %", TEXT, font(22, bold=True), anchor="mm")


def _zone_bar(draw: ImageDraw.ImageDraw, found: Assessment, place: tuple[Side, Zone], middle: int) -> None:
    """Draw a zone's patterns as one bar outwards from the lung, 80 pixels for all of the zone."""
    side, zone = place
    at, step = (550.0, -1) if side is Side.RIGHT else (900.0, 1)
    draw.rectangle((min(at, at + 80 * step), middle - 9, max(at, at + 80 * step), middle + 9), None, RULE)
    for region, (_, colour) in PATTERNS.items():
        length = 0.8 * _number(found, region, Quantity.EXTENT, side, zone)
        if length > 0:
            end = at + step * length
            draw.rectangle((min(at, end), middle - 8, max(at, end), middle + 8), colour)
            at = end
