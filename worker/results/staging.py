"""The stage of the disease as an SR tells it."""

from highdicom import sr

from worker.analysis import goh
from worker.analysis.records import Assessment, Quantity, Region
from worker.results import codes


def category(assessment: Assessment) -> sr.QualitativeEvaluation:
    """Return Goh's category by extent alone: the forced vital capacity is not known here."""
    found = goh.category(assessment.value(Region.TOTAL, Quantity.EXTENT))
    return sr.QualitativeEvaluation(codes.GOH_CATEGORY, codes.own(found))
