"""The groups of an SR that belong to no segment but to a place: each zone of each lung (TID 1501)."""

from collections.abc import Iterator

from highdicom import sr
from highdicom.sr.coding import CodedConcept

from worker.analysis.records import Assessment, Region, Side, Zone
from worker.results import codes, numbers
from worker.results.source import ResultSource

ZONES = {Zone.UPPER: codes.UPPER_ZONE, Zone.MIDDLE: codes.MIDDLE_ZONE, Zone.LOWER: codes.LOWER_ZONE}
SIDES = {Side.RIGHT: codes.RIGHT, Side.LEFT: codes.LEFT}
# (finding, kind of finding)
REGIONS = {
    Region.LUNG: ("lung", codes.LUNG),
    Region.TOTAL: ("interstitial disease", codes.ABNORMAL_INTERSTITIAL_PATTERN),
    Region.GROUND_GLASS: ("ground glass", codes.GROUND_GLASS_OPACITY),
    Region.RETICULATION: ("reticulation", codes.RETICULAR_PATTERN),
    Region.CONSOLIDATION: ("consolidation", codes.CONSOLIDATION),
}


def groups(source: ResultSource, assessment: Assessment) -> Iterator[sr.MeasurementsAndQualitativeEvaluations]:
    """Yield a group for each finding in each zone of each lung, from right to left and from above to below."""
    for side, laterality in SIDES.items():
        for zone, place in ZONES.items():
            for region, (finding, kind) in REGIONS.items():
                told = list(numbers.of(assessment, region, side, zone))
                if told:
                    site = sr.FindingSite(place, laterality=laterality)
                    yield _group(source, f"{finding} {side} {zone}", (kind, site), told)


def _group(
    source: ResultSource, finding: str, what: tuple[CodedConcept, sr.FindingSite], told: list[sr.Measurement]
) -> sr.MeasurementsAndQualitativeEvaluations:
    kind, site = what
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=source.tracking_uid(finding), identifier=f"Scleroscan {finding}"),
        finding_type=kind,
        finding_sites=[site],
        measurements=told,
    )
