"""Real CT slices of diseased lungs in which no reader would see lines: they teach what is not reticulation.

Where the disease lies nobody has drawn: a model that was trained before says it, and whatever it takes for
reticulation there is ground glass. To judge reticulation alone and leave the rest open makes a network find nothing.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worker.analysis import patterns
from worker.analysis.patterns import network
from worker.analysis.patterns.model import PatternModel
from worker.analysis.records import CONSOLIDATION, GROUND_GLASS, NO_PATTERN
from worker.errors import InputRejected
from worker.reading import headers, slices
from worker.reading.pixels import hounsfield
from worker.training.data.cases import HEALTHY, OUTSIDE, Case

# A slice stands alone; this only says that its neighbours are no nearer than in a thick series.
APART_MM = 5.0
LEAST_LUNG_CM2 = 20.0
# Such slices are few beside phantoms and paintings.
EACH_COUNTS = 2


def cases(folder: Path, teacher: PatternModel) -> Iterator[Case]:
    """Yield every axial CT image below a folder as cases of one slice that shows no lines.

    Raises
    ------
    InputRejected
        An image cannot be read, or shows no lung.
    """
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        for one in slices.split(headers.read(path)):
            yield from [_case(one, f"without lines {path.parent.name}", teacher)] * EACH_COUNTS


def _case(one: slices.SourceSlice, patient: str, teacher: PatternModel) -> Case:
    hu, spacing_mm = _pixels(one)
    values = patterns.probabilities_alone(hu, spacing_mm, teacher)
    lung = values[network.LUNG] > 0.5
    if lung.sum() * spacing_mm[0] * spacing_mm[1] / 100 < LEAST_LUNG_CM2:
        raise InputRejected(f"{one.file.path.name} shows no lung", code="no_lungs", detail={"sop_uid": one.sop_uid})
    found = patterns.classified(values, teacher)
    kinds = [found == NO_PATTERN, found == CONSOLIDATION]
    without_lines = np.select(kinds, [NO_PATTERN, CONSOLIDATION], GROUND_GLASS)
    labels = np.where(lung, HEALTHY + without_lines, OUTSIDE).astype(np.uint8)
    return Case(patient, hu[None], labels[None], (APART_MM, *spacing_mm), exposed=True)


def _pixels(one: slices.SourceSlice) -> tuple[NDArray[np.int16], tuple[float, float]]:
    """Return HU (rows, columns) and the spacing of rows and columns in mm."""
    shape = tuple(int(one.header[keyword].value) for keyword in ("Rows", "Columns"))
    spacing = headers.numbers(one.header, "PixelSpacing", 2)
    if spacing is None:
        raise InputRejected(
            f"{one.file.path.name} has no PixelSpacing", code="no_geometry", detail={"sop_uid": one.sop_uid}
        )
    hu = np.empty(shape, np.int16)
    hounsfield.read_slice(one, hu)
    return hu, (spacing[0], spacing[1])
