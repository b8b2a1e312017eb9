"""One measured exam, as it is compared with others, from what was measured of it."""

from collections.abc import Mapping

from worker.analysis.records import WHOLE, Assessment, Quantity, Region, Side
from worker.analysis.serial import REGIONS, Extent, Timepoint
from worker.reading.exam import Exam

Numbers = Mapping[tuple[str, str], float]


def of(exam: Exam, series_uid: str, model_digest: str, assessment: Assessment) -> Timepoint:
    """Return the exam that was measured just now."""
    whole: dict[tuple[str, str], float] = {
        (m.region, m.quantity): m.value for m in assessment.measurements if (m.side, m.zone) == (Side.BOTH, WHOLE)
    }
    return from_numbers(exam, series_uid, model_digest, whole)


def from_numbers(exam: Exam, series_uid: str, model_digest: str, numbers: Numbers) -> Timepoint:
    """Return an exam whose numbers of both whole lungs are given by (region, quantity)."""
    return Timepoint(
        exam=exam,
        series_uid=series_uid,
        model_digest=model_digest,
        lung_ml=numbers.get((Region.LUNG, Quantity.VOLUME), 0.0),
        extents={region: _extent(numbers, region) for region in REGIONS if (region, Quantity.EXTENT) in numbers},
    )


def _extent(numbers: Numbers, region: Region) -> Extent:
    bounds = (numbers.get((region, bound)) for bound in (Quantity.EXTENT_LOWER, Quantity.EXTENT_UPPER))
    return Extent(numbers[region, Quantity.EXTENT], *bounds)
