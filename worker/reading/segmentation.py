"""Reads a DICOM SEG back as masks on the slices that it was drawn on."""

from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from worker.reading.volume import CTVolume


def read(path: Path, volume: CTVolume) -> dict[int, NDArray[np.bool_]]:
    """Return the mask of each segment by its number, bool (slices, rows, columns) in the order of ``volume``.

    Frames are bound by the SOP Instance UIDs of their source images, never by their order; slices without a frame
    are empty.

    Raises
    ------
    ValueError
        No SEG, or one of another series or of other rows and columns.
    """
    seg = hd.seg.segread(path)
    known = {uid for _, _, uid in seg.get_source_image_uids()}
    if not known <= set(volume.sop_uids):
        raise ValueError(f"{path.name} was drawn on other images than those of the series")
    pixels = seg.get_pixels_by_source_instance(list(volume.sop_uids), assert_missing_frames_are_empty=True)
    if pixels.shape[:3] != volume.hu.shape:
        raise ValueError(f"{path.name} has other rows and columns than the series")
    return {number: pixels[..., place] > 0 for place, number in enumerate(seg.segment_numbers)}
