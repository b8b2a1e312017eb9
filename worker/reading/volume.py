"""The CT volume: Hounsfield units on a regular grid that knows its place in the patient."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

HU_FLOOR = -1024
# Step / thickness. Slices usually overlap or touch, and headers round both; above this ratio lung lies unseen between.
GAPPED_FROM = 1.2
Voxel = TypeVar("Voxel", bound=np.generic)


@dataclass(frozen=True, eq=False)
class CTVolume:
    """An axial CT series in Hounsfield units.

    Attributes
    ----------
    hu
        int16, (slices, rows, columns), slices ordered from feet to head, rows and columns as in the source images.
        Values are clipped at −1024 from below; padding is −1024.
    affine
        float64, (4, 4): (slice, row, column, 1) → LPS millimetres of the voxel centre.
    sop_uids
        SOP Instance UID of each slice, in the order of ``hu``.
    slice_thickness_mm
        SliceThickness of the source, which may differ from the step between slices; None where it is not given.
    """

    hu: NDArray[np.int16]
    affine: NDArray[np.float64]
    sop_uids: tuple[str, ...]
    frame_of_reference_uid: str
    slice_thickness_mm: float | None = None

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along (slices, rows, columns)."""
        slice_mm, row_mm, column_mm = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(slice_mm), float(row_mm), float(column_mm)

    @property
    def is_gapped(self) -> bool:
        """Whether slices lie further apart than they are thick, as in high-resolution CT of 1 mm every 10 mm."""
        return bool(self.slice_thickness_mm) and self.spacing_mm[0] > GAPPED_FROM * (self.slice_thickness_mm or 0.0)

    @property
    def voxel_ml(self) -> float:
        """Volume that one voxel stands for, in millilitres.

        Its height is the distance of the slices, not their thickness: a slice of a gapped series stands for the unseen
        tissue half-way to its neighbours as well.
        """
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def to_anatomical(self, array: NDArray[Voxel]) -> NDArray[Voxel]:
        """View ``array`` (slices, rows, columns) with rows running anterior → posterior, columns right → left.

        Slices run from feet to head already. Prone and reversed series come out in the same frame as supine ones.
        """
        swap, flip_rows, flip_columns = self._in_plane()
        view = np.swapaxes(array, 1, 2) if swap else array
        return view[:, :: -1 if flip_rows else 1, :: -1 if flip_columns else 1]

    def from_anatomical(self, array: NDArray[Voxel]) -> NDArray[Voxel]:
        """Undo :meth:`to_anatomical`."""
        swap, flip_rows, flip_columns = self._in_plane()
        view = array[:, :: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
        return np.swapaxes(view, 1, 2) if swap else view

    @property
    def anatomical_spacing_mm(self) -> tuple[float, float, float]:
        """Spacing along (feet → head, anterior → posterior, right → left)."""
        slice_mm, row_mm, column_mm = self.spacing_mm
        swap, _, _ = self._in_plane()
        return (slice_mm, column_mm, row_mm) if swap else (slice_mm, row_mm, column_mm)

    def _in_plane(self) -> tuple[bool, bool, bool]:
        """(rows and columns swapped, posterior axis runs backwards, left axis runs backwards)."""
        row_step, column_step = self.affine[:3, 1], self.affine[:3, 2]
        swap = abs(column_step[0]) < abs(row_step[0])
        posterior, left = (column_step[1], row_step[0]) if swap else (row_step[1], column_step[0])
        return swap, bool(posterior < 0), bool(left < 0)
