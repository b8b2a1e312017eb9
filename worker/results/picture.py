"""Overlay pictures for people: the original slice beside the same slice with what was found."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from worker.analysis.records import LungMask, PatternMap
from worker.reading.volume import CTVolume
from worker.results import palette, segments

WINDOW_HU = (-1350.0, 150.0)
TILE = 320
PAIRS_IN_A_ROW = 3
GAP, HEADER, FOOTER = 6, 34, 26
BACKGROUND, TEXT, DIM = (14, 16, 20), (225, 228, 235), (140, 146, 160)
OPACITY = 0.45
MARGIN_MM = 20.0
PATTERN_COLOURS = (palette.GROUND_GLASS, palette.RETICULATION, palette.CONSOLIDATION)
LUNG_COLOURS = (palette.RIGHT_LUNG, palette.LEFT_LUNG)
Rgb = NDArray[np.uint8]


def contact_sheet(
    volume: CTVolume, lungs: LungMask, patterns: PatternMap, statement: str, count: int = 12
) -> Image.Image:
    """Return ``count`` pairs of original and overlay, evenly spread over the lungs from head to feet.

    ``statement`` stands below: what the model was trained on, and that it is for research alone.
    Radiological convention: patient right on the left, anterior up. No patient identity is on it.
    """
    hu = volume.to_anatomical(volume.hu)
    lung_mask, found = (volume.to_anatomical(a) for a in (lungs.labels, patterns.labels))
    picked = _spread(lung_mask, count)
    window = _window(lung_mask, volume.anatomical_spacing_mm)
    rows = -(-len(picked) // PAIRS_IN_A_ROW)
    pair_width, tile_height = 2 * TILE + GAP // 2, TILE
    sheet = Image.new(
        "RGB",
        (PAIRS_IN_A_ROW * (pair_width + GAP) + GAP, HEADER + rows * (tile_height + GAP) + FOOTER),
        BACKGROUND,
    )
    spacing = volume.anatomical_spacing_mm[1:]
    for number, index in enumerate(picked):
        left = GAP + (number % PAIRS_IN_A_ROW) * (pair_width + GAP)
        top = HEADER + (number // PAIRS_IN_A_ROW) * (tile_height + GAP)
        grey = _grey(hu[index][window])
        height_mm = float(volume.affine[2, 3] + index * volume.affine[2, 0])
        sheet.paste(tile(grey, spacing), (left, top))
        sheet.paste(
            tile(_coloured(grey, lung_mask[index][window], found[index][window]), spacing),
            (left + TILE + GAP // 2, top),
        )
        _caption(sheet, (left, top), f"{height_mm:+.0f} mm")
    _legend(sheet, statement)
    return sheet


def overlay(volume: CTVolume, lungs: LungMask, patterns: PatternMap, index: int) -> Image.Image:
    """Return one slice of the anatomical view with what was found, at the size of the source."""
    hu, lung_mask, found = (volume.to_anatomical(a)[index] for a in (volume.hu, lungs.labels, patterns.labels))
    return Image.fromarray(_coloured(_grey(hu), lung_mask, found))


def _window(lung_mask: NDArray[np.uint8], spacing_mm: tuple[float, float, float]) -> tuple[slice, slice]:
    """Return rows and columns around the lungs of all slices; everything where there are none."""
    spans = []
    for axis in (1, 2):
        used = np.flatnonzero(lung_mask.any(axis=(0, 3 - axis)))
        margin = round(MARGIN_MM / spacing_mm[axis])
        spans.append(slice(max(int(used[0]) - margin, 0), int(used[-1]) + margin + 1) if len(used) else slice(None))
    return spans[0], spans[1]


def _spread(lung_mask: NDArray[np.uint8], count: int) -> list[int]:
    slices = np.flatnonzero(lung_mask.any(axis=(1, 2)))
    if len(slices) == 0:
        slices = np.arange(lung_mask.shape[0])
    at = np.linspace(slices[-1], slices[0], min(count, len(slices)) + 2)[1:-1]
    return [round(float(v)) for v in at]


def _grey(hu: NDArray[np.int16]) -> Rgb:
    return greys(hu).astype(np.uint8)


def greys(hu: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return a plane of HU in the window of the lungs, 0 to 255, three times over for red, green and blue."""
    low, high = WINDOW_HU
    grey = np.clip((hu.astype(np.float32) - low) * (255 / (high - low)), 0, 255)
    return np.asarray(np.repeat(grey[..., None], 3, axis=-1), np.float32)


def _coloured(grey: Rgb, lung_mask: NDArray[np.uint8], found: NDArray[np.uint8]) -> Rgb:
    picture = grey.astype(np.float32)
    tint(picture, found, PATTERN_COLOURS, OPACITY)
    for label, colour in enumerate(LUNG_COLOURS, start=1):
        lung = lung_mask == label
        picture[lung & ~ndimage.binary_erosion(lung)] = colour
    return picture.astype(np.uint8)


def tint(
    picture: NDArray[np.float32], found: NDArray[np.uint8], colours: Sequence[palette.Colour], opacity: float
) -> None:
    """Lay the colour of each pattern over where it was found, in place; the first colour is that of label 1."""
    for label, colour in enumerate(colours, start=1):
        inside = found == label
        picture[inside] = picture[inside] * (1 - opacity) + np.array(colour, np.float32) * opacity


def tile(picture: Rgb, spacing_mm: tuple[float, float], size: tuple[int, int] = (TILE, TILE)) -> Image.Image:
    """Fit a plane into a tile of (width, height), true to its proportions in space."""
    height, width = (n * step for n, step in zip(picture.shape[:2], spacing_mm, strict=True))
    scale = min(size[0] / width, size[1] / height)
    fitted = max(1, round(width * scale)), max(1, round(height * scale))
    whole = Image.new("RGB", size, (0, 0, 0))
    resized = Image.fromarray(picture).resize(fitted, Image.Resampling.LANCZOS)
    whole.paste(resized, ((size[0] - fitted[0]) // 2, (size[1] - fitted[1]) // 2))
    return whole


def _caption(sheet: Image.Image, corner: tuple[int, int], text: str) -> None:
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    left, top = corner
    draw.text((left + 6, top + TILE - 20), text, TEXT, font)
    for side in (left, left + TILE + GAP // 2):
        draw.text((side + 6, top + TILE / 2), "R", DIM, font)
        draw.text((side + TILE - 16, top + TILE / 2), "L", DIM, font)


def _legend(sheet: Image.Image, statement: str) -> None:
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    left = GAP + 4
    for one in segments.ALL.segments:
        draw.rectangle((left, 11, left + 14, 25), one.colour)
        draw.text((left + 20, 8), one.finding, TEXT, font)
        left += 40 + int(draw.textlength(one.finding, font))
    draw.text((GAP + 4, sheet.height - FOOTER + 4), statement, DIM, ImageFont.load_default(13))
