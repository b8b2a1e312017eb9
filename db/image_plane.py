"""The image plane of an image, as its header gives it, its row keeps it and the completeness rule uses it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

# Scanners and archives round positions by up to this much; slices further apart lie at different places.
POSITION_TOLERANCE_MM = 0.1


@dataclass(frozen=True)
class ImagePlane:
    """Image Plane Module (PS3.3 C.7.6.2) of one image, with its matrix and ImageType.

    ``orientation`` holds the direction cosines of row and column, ``position`` is in LPS millimetres.
    """

    orientation: tuple[float, float, float, float, float, float]
    position: tuple[float, float, float]
    rows: int
    columns: int
    image_type: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the plane as a row keeps it."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "ImagePlane":
        """Rebuild what :meth:`as_json` returned."""
        rx, ry, rz, cx, cy, cz = kept["orientation"]
        x, y, z = kept["position"]
        return cls((rx, ry, rz, cx, cy, cz), (x, y, z), kept["rows"], kept["columns"], tuple(kept["image_type"]))
