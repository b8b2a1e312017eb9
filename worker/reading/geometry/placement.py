"""Reads from a header where one slice lies in the patient, and checks each value."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from worker.errors import InputRejected
from worker.reading import headers

# The attributes in which images at one place differ, where a series holds several reconstructions, phases or
# acquisitions.
TRAITS = (
    "AcquisitionNumber",
    "ConvolutionKernel",
    "ImageType",
    "SliceThickness",
    "TemporalPositionIdentifier",
    "AcquisitionTime",
    "KVP",
)
# How far direction cosines may be from orthogonal unit vectors: files write six digits at most.
COSINE_TOLERANCE = 1e-3
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Placement:
    """One slice in space (PS3.3 C.7.6.2).

    Attributes
    ----------
    spacing_mm
        Distance of neighbouring (rows, columns).
    orientation
        Direction in LPS of increasing column index, then of increasing row index; unit vectors.
    position_mm
        LPS of the centre of the first voxel.
    traits
        Values of :data:`TRAITS`, by which doubled slices are told apart.
    """

    sop_uid: str
    frame_of_reference_uid: str
    rows: int
    columns: int
    spacing_mm: tuple[float, float]
    orientation: tuple[float, ...]
    position_mm: tuple[float, ...]
    traits: tuple[str, ...] = ()

    @property
    def normal(self) -> Vector:
        """Unit normal of the slice, right-handed after (column, row) direction."""
        cross = np.cross(self.orientation[:3], self.orientation[3:])
        return np.asarray(cross / np.linalg.norm(cross))


def read(header: Dataset) -> Placement:
    """Read the placement of a slice.

    Raises
    ------
    InputRejected
        ``no_geometry``.
    """
    orientation = headers.numbers(header, "ImageOrientationPatient", 6)
    position = headers.numbers(header, "ImagePositionPatient", 3)
    spacing = headers.numbers(header, "PixelSpacing", 2)
    rows, columns = headers.number(header, "Rows"), headers.number(header, "Columns")
    sop_uid = headers.text(header, "SOPInstanceUID")
    if orientation is None or not _are_directions(orientation):
        raise _unplaced(sop_uid, "ImageOrientationPatient")
    if position is None:
        raise _unplaced(sop_uid, "ImagePositionPatient")
    if spacing is None or min(spacing) <= 0:
        raise _unplaced(sop_uid, "PixelSpacing")
    if not rows or not columns:
        raise _unplaced(sop_uid, "Rows" if not rows else "Columns")
    return Placement(
        sop_uid=sop_uid,
        frame_of_reference_uid=headers.text(header, "FrameOfReferenceUID"),
        rows=int(rows),
        columns=int(columns),
        spacing_mm=(spacing[0], spacing[1]),
        orientation=orientation,
        position_mm=position,
        traits=tuple(headers.text(header, keyword) for keyword in TRAITS),
    )


def _are_directions(orientation: Sequence[float]) -> bool:
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    off = (np.linalg.norm(row) - 1, np.linalg.norm(column) - 1, row @ column)
    return bool(np.abs(off).max() <= COSINE_TOLERANCE)


def _unplaced(sop_uid: str, keyword: str) -> InputRejected:
    return InputRejected(
        f"A slice does not say where it lies: {keyword} is absent or makes no sense; "
        "send the images as the scanner made them.",
        code="no_geometry",
        detail={"attribute": keyword, "sop_uid": sop_uid},
    )
