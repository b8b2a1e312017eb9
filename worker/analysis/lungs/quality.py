"""Quality flags of a lung mask: signs that it may be wrong, which travel with the numbers."""

import numpy as np
from numpy.typing import NDArray

from worker.analysis.records import LEFT_LUNG, RIGHT_LUNG
from worker.reading.quality import QualityFlag
from worker.reading.volume import CTVolume

# Apex and recess, where a whole lung begins and ends, are smaller than this in a slice.
END_AREA_CM2 = 30.0
USUAL_RATIO = (0.6, 1.2)
RECOVERED_PCT = 25.0
# Real chests without consolidation at the ribs stay below 4 %, one with a consolidated lower lobe has 13 %.
GAP_PCT = 6.0
THICK_SLICE_MM = 3.0
FEW_SLICES = 20


def about(
    labels: NDArray[np.uint8], volume: CTVolume, thresholded_ml: float, gap_pct: float
) -> tuple[QualityFlag, ...]:
    """Return the quality flags of a lung mask.

    Parameters
    ----------
    labels
        Lung mask in the anatomical frame of the volume.
    thresholded_ml
        What a threshold alone would have called lung.
    gap_pct
        Over how much of its side and back a lung does not reach the ribs.
    """
    slice_mm, row_mm, column_mm = volume.spacing_mm
    end_cm2 = max(float(np.count_nonzero(labels[end])) for end in (0, -1)) * row_mm * column_mm / 100
    at_edge = sum(np.count_nonzero(side) for side in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]))
    # Slice by slice: what is compared at once would be as large as the volume.
    right_ml, left_ml = (
        sum(np.count_nonzero(plane == side) for plane in labels) * volume.voxel_ml for side in (RIGHT_LUNG, LEFT_LUNG)
    )
    recovered_pct = 100 * max(0.0, 1 - thresholded_ml / max(right_ml + left_ml, 1e-9))
    thickness_mm = max(volume.slice_thickness_mm or 0.0, slice_mm)
    checks = (
        (end_cm2 > END_AREA_CM2, "partial_coverage", "the first or last slice cuts through lung, cm² of it", end_cm2),
        (at_edge > 0, "lung_at_field_edge", "lung touches the edge of the images and may go on beyond", at_edge),
        _ratio(right_ml, left_ml),
        (
            recovered_pct > RECOVERED_PCT,
            "much_recovered",
            "more than a quarter of the lung mask came from shape, not from air; look at it",
            recovered_pct,
        ),
        (
            gap_pct > GAP_PCT,
            "dense_at_ribs",
            "something dense, consolidation or fluid, keeps the lung mask from the ribs, % of the wall",
            gap_pct,
        ),
        (thickness_mm > THICK_SLICE_MM, "thick_slices", "thick or spaced slices hide fine reticulation", thickness_mm),
        (volume.is_gapped, "gapped", "slices have gaps between them; each stands for their distance, mm", slice_mm),
        (len(labels) < FEW_SLICES, "few_slices", "so few slices say little about the whole lung", len(labels)),
    )
    return tuple(
        QualityFlag(code, text, None if value is None else round(float(value), 3))
        for is_raised, code, text, value in checks
        if is_raised
    )


def _ratio(right_ml: float, left_ml: float) -> tuple[bool, str, str, float | None]:
    if not right_ml or not left_ml:
        return True, "one_lung_only", "only one lung was found; the other is absent or without air", None
    ratio = left_ml / right_ml
    text = "left and right lung differ more than usual; one mask may be wrong"
    return not USUAL_RATIO[0] <= ratio <= USUAL_RATIO[1], "unusual_lung_ratio", text, ratio
