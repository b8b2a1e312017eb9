"""The part of the gate that looks along the stack: it refuses doubled, missing and unevenly spaced slices."""

from collections.abc import Sequence

import numpy as np

from db.image_plane import POSITION_TOLERANCE_MM
from worker.errors import InputRejected
from worker.reading.geometry.placement import TRAITS, Placement, Vector

NAMED_AT_MOST = 20
# Header values are decimal text: a distance that equals the tolerance on paper may exceed it by rounding.
ROUNDING_MM = 1e-6


def require_regular(placements: Sequence[Placement], along_mm: Vector) -> None:
    """Refuse a stack whose slices do not lie at one step; doubled ones were refused before.

    Parameters
    ----------
    placements
        Slices from feet to head.
    along_mm
        Their positions on the common normal, ascending.

    Raises
    ------
    InputRejected
        ``missing_slices``, ``irregular_spacing``.
    """
    steps = np.diff(along_mm)
    usual = _usual(steps)
    whole = np.maximum(np.round(steps / usual), 1)
    off = np.abs(steps - whole * usual)
    if (off > POSITION_TOLERANCE_MM + ROUNDING_MM).any():
        _refuse_irregular(steps, usual)
    if (whole > 1).any():
        _refuse_gaps(placements, along_mm, whole, usual)
    # Steps that grow from 1.00 to 1.08 mm pass one by one, but add up to centimetres at the end of the stack.
    even = np.linspace(along_mm[0], along_mm[-1], len(along_mm))
    if np.abs(along_mm - even).max() > POSITION_TOLERANCE_MM + ROUNDING_MM:
        _refuse_irregular(steps, usual)


def _usual(steps: Vector) -> float:
    """Mean of the steps that are like the lower median: more exact than a median where positions are rounded."""
    median = float(np.sort(steps)[(len(steps) - 1) // 2])
    return float(steps[np.abs(steps - median) <= POSITION_TOLERANCE_MM + ROUNDING_MM].mean())


def refuse_doubled(placements: Sequence[Placement], along_mm: Vector) -> None:
    """Refuse two slices at one place. Arguments are those of :func:`require_regular`.

    Raises
    ------
    InputRejected
        ``duplicate_positions``.
    """
    doubled = np.flatnonzero(np.diff(along_mm) < POSITION_TOLERANCE_MM / 2).tolist()
    if not doubled:
        return
    differ = sorted(
        {
            keyword
            for i in doubled
            for keyword, one, other in zip(TRAITS, placements[i].traits, placements[i + 1].traits, strict=False)
            if one != other
        }
    )
    why = f", and differ in {', '.join(differ)}" if differ else ""
    raise InputRejected(
        f"{len(doubled)} slices share their position with another{why}; "
        "send each reconstruction or phase as a series of its own.",
        code="duplicate_positions",
        detail={
            "duplicates": len(doubled),
            "received": len(placements),
            "positions_mm": _rounded(along_mm[doubled]),
            "differ_in": differ,
        },
    )


def _refuse_gaps(placements: Sequence[Placement], along_mm: Vector, whole: Vector, usual: float) -> None:
    gaps = np.flatnonzero(whole > 1).tolist()
    missing = int((whole[gaps] - 1).sum())
    total = len(placements) + missing
    raise InputRejected(
        f"{missing} of {total} slices are missing; send the whole series again.",
        code="missing_slices",
        detail={
            "missing": missing,
            "received": len(placements),
            "step_mm": round(usual, 3),
            "gaps": [
                {
                    "after_sop_uid": placements[i].sop_uid,
                    "position_mm": round(float(along_mm[i]), 3),
                    "gap_mm": round(float(along_mm[i + 1] - along_mm[i]), 3),
                    "missing": int(whole[i]) - 1,
                }
                for i in gaps[:NAMED_AT_MOST]
            ],
        },
    )


def _refuse_irregular(steps: Vector, usual: float) -> None:
    uneven = steps[np.abs(steps - usual) > POSITION_TOLERANCE_MM]
    raise InputRejected(
        f"The distance of neighbouring slices varies from {steps.min():.2f} to {steps.max():.2f} mm; "
        "send a reconstruction with one spacing.",
        code="irregular_spacing",
        detail={
            "usual_mm": round(usual, 3),
            "smallest_mm": round(float(steps.min()), 3),
            "largest_mm": round(float(steps.max()), 3),
            "uneven": len(uneven),
            "steps_mm": _rounded(uneven),
        },
    )


def _rounded(values: Vector) -> list[float]:
    return [round(float(v), 3) for v in values[:NAMED_AT_MOST]]
