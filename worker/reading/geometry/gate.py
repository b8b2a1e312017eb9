"""The geometry gate: finds where a stack of slices lies, or refuses it with the reason.

It is our own because general readers accept too much without an error: they stretch the spacing over missing slices,
ignore tilt, and take the orientation of the whole series from a localizer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from db.image_plane import POSITION_TOLERANCE_MM
from worker.errors import InputRejected
from worker.reading.geometry import spacing
from worker.reading.geometry.placement import Placement, Vector
from worker.reading.geometry.spacing import NAMED_AT_MOST, ROUNDING_MM

# Direction cosines in files carry rounding of 1e-6; 1e-3 is 0.06 degrees and another orientation.
ORIENTATION_TOLERANCE = 1e-4
SPACING_TOLERANCE_MM = 1e-5
MAX_TILT_DEGREES = 0.5
# A slice turned further is called coronal or sagittal, one turned less a tilted axial one.
OTHER_PLANE_DEGREES = 45.0
FEWEST_SLICES = 10


@dataclass(frozen=True, eq=False)
class Stack:
    """A regular stack of slices.

    ``order`` are indices into the placements, from feet to head; ``affine`` maps (slice, row, column, 1) to LPS mm
    and is right to 0.1 mm for every slice.
    """

    order: tuple[int, ...]
    affine: NDArray[np.float64]


def stack(placements: Sequence[Placement]) -> Stack:
    """Arrange slices in space.

    Raises
    ------
    InputRejected
        In this order: ``not_axial`` (another plane), ``too_few_slices``, ``no_frame_of_reference``,
        ``several_frames_of_reference``, ``mixed_geometry``, ``duplicate_positions``, ``gantry_tilt``, ``not_axial``
        (oblique), ``missing_slices``, ``irregular_spacing``, ``shifted_slices``.
    """
    _require_axial_plane(placements)
    _require_enough(placements)
    _require_one_frame(placements)
    _require_one_geometry(placements)
    normal = _upward(placements)
    positions = np.array([p.position_mm for p in placements])
    order = np.argsort(positions @ normal, kind="stable")
    ordered, positions = [placements[i] for i in order], positions[order]
    spacing.refuse_doubled(ordered, positions @ normal)
    _require_upright(positions, normal)
    spacing.require_regular(ordered, positions @ normal)
    _require_straight(ordered, positions)
    return Stack(tuple(int(i) for i in order), _affine(ordered, positions))


def frames_of_reference(placements: Sequence[Placement]) -> int:
    """Return how many frames of reference the slices name."""
    return len({p.frame_of_reference_uid for p in placements})


def _affine(ordered: Sequence[Placement], positions: Vector) -> Vector:
    first = ordered[0]
    row_mm, column_mm = first.spacing_mm
    affine = np.eye(4)
    # The direction from first to last slice, not the normal: it keeps a tilt within the limit, so every voxel is placed
    # exactly.
    affine[:3, 0] = (positions[-1] - positions[0]) / (len(ordered) - 1)
    affine[:3, 1] = _unit(first.orientation[3:]) * row_mm
    affine[:3, 2] = _unit(first.orientation[:3]) * column_mm
    affine[:3, 3] = positions[0]
    return affine


def _upward(placements: Sequence[Placement]) -> Vector:
    """Return the common normal, pointing to the head."""
    normal = np.mean([p.normal for p in placements], axis=0)
    normal /= np.linalg.norm(normal)
    return np.asarray(-normal if normal[2] < 0 else normal)


def _require_axial_plane(placements: Sequence[Placement]) -> None:
    angle = min(_degrees(p.normal[2]) for p in placements)
    if angle > OTHER_PLANE_DEGREES:
        _refuse_oblique(angle)


def _require_enough(placements: Sequence[Placement]) -> None:
    if len(placements) < FEWEST_SLICES:
        raise InputRejected(
            f"{len(placements)} slices are too few to measure a lung; send the whole series.",
            code="too_few_slices",
            detail={"slices": len(placements), "fewest": FEWEST_SLICES},
        )


def _require_one_frame(placements: Sequence[Placement]) -> None:
    without = sum(not p.frame_of_reference_uid for p in placements)
    if without:
        raise InputRejected(
            "Slices name no frame of reference, so a result could not be laid over them; "
            "send the images as the scanner made them.",
            code="no_frame_of_reference",
            detail={"slices_without": without, "received": len(placements)},
        )
    # A de-identifier that replaces UIDs file by file gives each slice its own: such UIDs say nothing about space.
    frames = frames_of_reference(placements)
    if 1 < frames < len(placements):
        raise InputRejected(
            f"The series spans {frames} frames of reference; send each acquisition as a series of its own.",
            code="several_frames_of_reference",
            detail={"frames": frames, "received": len(placements)},
        )


def _require_one_geometry(placements: Sequence[Placement]) -> None:
    groups: list[tuple[Placement, list[Placement]]] = []
    for placement in placements:
        for reference, members in groups:
            if are_alike(reference, placement):
                members.append(placement)
                break
        else:
            groups.append((placement, [placement]))
    if len(groups) > 1:
        groups.sort(key=lambda group: len(group[1]), reverse=True)
        raise InputRejected(
            f"The series mixes {len(groups)} image geometries (size, spacing or orientation); "
            "send each reconstruction as a series of its own.",
            code="mixed_geometry",
            detail={"groups": [_described(ref, len(members)) for ref, members in groups[:NAMED_AT_MOST]]},
        )


def are_alike(one: Placement, other: Placement) -> bool:
    """Whether two slices have size, pixel spacing and orientation in common."""
    return (
        (one.rows, one.columns) == (other.rows, other.columns)
        and _apart(one.spacing_mm, other.spacing_mm) <= SPACING_TOLERANCE_MM
        and _apart(one.orientation, other.orientation) <= ORIENTATION_TOLERANCE
    )


def _apart(one: Sequence[float], other: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def _described(reference: Placement, count: int) -> dict[str, object]:
    return {
        "slices": count,
        "rows": reference.rows,
        "columns": reference.columns,
        "spacing_mm": list(reference.spacing_mm),
        "orientation": list(reference.orientation),
    }


def _require_upright(positions: Vector, normal: Vector) -> None:
    """Refuse a sheared stack (the gantry leaned over the table's way), then an oblique one."""
    way = positions[-1] - positions[0]
    tilt = _degrees(float(way @ normal / np.linalg.norm(way)))
    if tilt > MAX_TILT_DEGREES:
        raise InputRejected(
            f"The gantry was tilted by {tilt:.1f} degrees; send a reconstruction without tilt.",
            code="gantry_tilt",
            detail={"tilt_degrees": round(tilt, 2), "limit_degrees": MAX_TILT_DEGREES},
        )
    angle = _degrees(normal[2])
    if angle > MAX_TILT_DEGREES:
        _refuse_oblique(angle)


def _refuse_oblique(angle: float) -> None:
    raise InputRejected(
        f"The slices are turned by {angle:.1f} degrees out of the axial plane; send the axial reconstruction.",
        code="not_axial",
        detail={"angle_to_axial_degrees": round(angle, 2), "limit_degrees": MAX_TILT_DEGREES},
    )


def _require_straight(ordered: Sequence[Placement], positions: Vector) -> None:
    """Refuse a stack of which single slices were moved sideways."""
    steps = np.arange(len(positions))[:, None] / (len(positions) - 1)
    off = np.linalg.norm(positions - (positions[0] + steps * (positions[-1] - positions[0])), axis=1)
    # Up to the tolerance in each of the three directions.
    moved = np.flatnonzero(off > np.sqrt(3) * POSITION_TOLERANCE_MM + ROUNDING_MM)
    if len(moved):
        raise InputRejected(
            f"{len(moved)} slices are shifted sideways by up to {off.max():.1f} mm; "
            "send a reconstruction with one centre.",
            code="shifted_slices",
            detail={
                "shifted": len(moved),
                "largest_mm": round(float(off.max()), 3),
                "sop_uids": [ordered[i].sop_uid for i in moved[:NAMED_AT_MOST]],
            },
        )


def _unit(direction: Sequence[float]) -> Vector:
    return np.asarray(np.array(direction) / np.linalg.norm(direction))


def _degrees(cosine: float) -> float:
    return float(np.degrees(np.arccos(np.clip(abs(cosine), 0, 1))))
