"""Which pictures the files of a result give."""

from dataclasses import dataclass

from db.series_record import SeriesRecord
from db.states import OutputKind

# Those of :mod:`worker.results.page`.
FRAMES = ("summary", "coronal", "axial")
OVERLAY = "overlay"


@dataclass(frozen=True)
class Picture:
    """One picture: the last part of its address, and what it shows."""

    name: str
    shows: str


def pictures_of(record: SeriesRecord) -> tuple[Picture, ...]:
    """Return the pictures that the files of a result give."""
    kinds = {output.kind for output in record.outputs}
    pages = [Picture(name, f"Page: {name}") for name in FRAMES] if OutputKind.PAGE in kinds else []
    sheet = [Picture(OVERLAY, "Slices beside their overlays")] if OutputKind.PICTURE in kinds else []
    return (*pages, *sheet)
