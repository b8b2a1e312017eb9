"""The frames of the page that show where disease lies: original beside overlay, across the lungs."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from worker.analysis.lungs import coarse
from worker.results import page_sheet, palette, picture
from worker.results.page_sheet import DIM, MARGIN, PATTERNS, SIZE, TEXT, Rgb, Shown

COLUMNS, ROWS, GAP = 4, 4, 6
OPACITY = 0.55
AROUND_MM = 12.0


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
        # By index: numpy.take would copy the whole of a view for each plane.
        at = np.s_[::-1, place] if axis else np.s_[place]
        grey, coloured = _pair(hu[at], lungs[at], found[at])
        for second, image in enumerate((grey, coloured)):
            column, row = number * 2 % COLUMNS + second, number * 2 // COLUMNS
            corner = (MARGIN + column * (width + GAP), 74 + row * (height + GAP))
            sheet.paste(picture.tile(image, (spacing[0] if axis else spacing[1], spacing[2]), (width, height)), corner)
            draw.text((corner[0] + 4, corner[1] + 2), "R", DIM, page_sheet.font(15))
    left = MARGIN
    for name, colour in PATTERNS.values():
        draw.rectangle((left, SIZE - 100, left + 16, SIZE - 84), colour)
        draw.text((left + 24, SIZE - 103), name, TEXT, page_sheet.font(18))
        left += 200
    return sheet


def _pair(hu: NDArray[np.int16], lungs: NDArray[np.uint8], found: NDArray[np.uint8]) -> tuple[Rgb, Rgb]:
    grey = picture.greys(hu)
    coloured = grey.copy()
    picture.tint(coloured, found, [colour for _, colour in PATTERNS.values()], OPACITY)
    inside = lungs > 0
    coloured[inside & ~ndimage.binary_erosion(inside)] = palette.OUTLINE
    return grey.astype(np.uint8), coloured.astype(np.uint8)
