"""The frames of the page that show where disease lies: original beside overlay, across the lungs."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from worker.analysis.lungs import coarse
from worker.results import page_sheet, picture
from worker.results.page_sheet import DIM, MARGIN, PATTERNS, SIZE, TEXT, Rgb, Shown

COLUMNS, ROWS, GAP = 4, 4, 6
OPACITY = 0.55
AROUND_MM = 12.0
# Seen on white tissue and on dark lung.
OUTLINE = (0, 158, 115)


def draw_pairs(shown: Shown, axis: int, title: str) -> Image.Image:
    """Return pairs of original and overlay across the lungs, along slices (0) or rows (1)."""
    sheet, draw = page_sheet.begun(shown, title)
    volume, spacing = shown.volume, shown.volume.anatomical_spacing_mm
    lungs, found = (volume.to_anatomical(mask) for mask in (shown.lungs.labels, shown.patterns.labels))
    hu = volume.to_anatomical(volume.hu)
    if not lungs.any():
        return sheet
    box = coarse.around(lungs > 0, AROUND_MM, spacing)
    hu, lungs, found = hu[box], lungs[box], found[box]
    held = np.flatnonzero(lungs.any(axis=tuple({0, 1, 2} - {axis})))
    width = (SIZE - 2 * MARGIN - (COLUMNS - 1) * GAP) // COLUMNS
    height = (SIZE - 74 - 110 - ROWS * GAP) // ROWS
    places = np.linspace(held[0], held[-1], COLUMNS * ROWS // 2 + 2)[1:-1].round().astype(int)
    for number, place in enumerate(places if axis else places[::-1]):
        planes = [np.take(a, place, axis) for a in (hu, lungs, found)]
        grey, coloured = _pair(*(plane[::-1] if axis else plane for plane in planes))
        for second, image in enumerate((grey, coloured)):
            column, row = number * 2 % COLUMNS + second, number * 2 // COLUMNS
            corner = (MARGIN + column * (width + GAP), 74 + row * (height + GAP))
            sheet.paste(_fitted(image, (spacing[0] if axis else spacing[1], spacing[2]), (width, height)), corner)
            draw.text((corner[0] + 4, corner[1] + 2), "R", DIM, page_sheet.font(15))
    left = MARGIN
    for name, colour in PATTERNS.values():
        draw.rectangle((left, SIZE - 100, left + 16, SIZE - 84), colour)
        draw.text((left + 24, SIZE - 103), name, TEXT, page_sheet.font(18))
        left += 200
    return sheet


def _pair(hu: NDArray[np.int16], lungs: NDArray[np.uint8], found: NDArray[np.uint8]) -> tuple[Rgb, Rgb]:
    low, high = picture.WINDOW_HU
    grey = np.clip((hu.astype(np.float32) - low) * (255 / (high - low)), 0, 255)[..., None].repeat(3, axis=-1)
    coloured = grey.copy()
    for label, (_, colour) in enumerate(PATTERNS.values(), start=1):
        coloured[found == label] = coloured[found == label] * (1 - OPACITY) + np.array(colour) * OPACITY
    inside = lungs > 0
    coloured[inside & ~ndimage.binary_erosion(inside)] = OUTLINE
    return grey.astype(np.uint8), coloured.astype(np.uint8)


def _fitted(image: Rgb, spacing_mm: tuple[float, float], size: tuple[int, int]) -> Image.Image:
    """Fit a plane into a tile, true to its proportions in space."""
    height_mm, width_mm = image.shape[0] * spacing_mm[0], image.shape[1] * spacing_mm[1]
    scale = min(size[0] / width_mm, size[1] / height_mm)
    fitted = max(1, round(width_mm * scale)), max(1, round(height_mm * scale))
    tile = Image.new("RGB", size, (0, 0, 0))
    resized = Image.fromarray(image).resize(fitted, Image.Resampling.LANCZOS)
    tile.paste(resized, ((size[0] - fitted[0]) // 2, (size[1] - fitted[1]) // 2))
    return tile
