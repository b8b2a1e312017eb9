"""DICOM SR: the measurements as an Imaging Measurement Report (TID 1500), tied to the segments of the SEG."""

from collections.abc import Iterable
from typing import Final

from highdicom import sr
from highdicom.sr.coding import CodedConcept
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from worker.analysis.records import Assessment, Region, Side
from worker.analysis.serial import Comparison
from worker.results import change_groups, codes, numbers, observer, staging, uids, zone_groups
from worker.results.profile import Profile, ReportClass, class_of
from worker.results.segments import LUNGS, PATTERNS, Segment
from worker.results.source import MANUFACTURER, PRODUCT, ResultSource

PLACE = 2
DESCRIPTION = "ILD measurements (Scleroscan, research)"
# (region, side) of the numbers that belong to each segment.
OF_SEGMENT = {
    "left lung": (Region.LUNG, Side.LEFT),
    "right lung": (Region.LUNG, Side.RIGHT),
    "ground glass": (Region.GROUND_GLASS, Side.BOTH),
    "reticulation": (Region.RETICULATION, Side.BOTH),
    "consolidation": (Region.CONSOLIDATION, Side.BOTH),
}
# (finding, region, side, kind of finding) of the groups without a segment (TID 1501).
TOTAL = ("interstitial disease", Region.TOTAL, Side.BOTH, codes.ABNORMAL_INTERSTITIAL_PATTERN)
TOTAL_LEFT = ("interstitial disease left", Region.TOTAL, Side.LEFT, codes.ABNORMAL_INTERSTITIAL_PATTERN)
TOTAL_RIGHT = ("interstitial disease right", Region.TOTAL, Side.RIGHT, codes.ABNORMAL_INTERSTITIAL_PATTERN)
BOTH_LUNGS = ("both lungs", Region.LUNG, Side.BOTH, codes.LUNG)
# As people read a report: what there is in all, of which kind, on which side, and of how much lung.
ORDER = (TOTAL, *PATTERNS, TOTAL_LEFT, TOTAL_RIGHT, BOTH_LUNGS, *LUNGS)


Document = type[sr.Comprehensive3DSR] | type[sr.ComprehensiveSR] | type[sr.EnhancedSR]
DOCUMENTS: dict[ReportClass, tuple[Document, str]] = {
    ReportClass.COMPREHENSIVE_3D: (sr.Comprehensive3DSR, Comprehensive3DSRStorage),
    ReportClass.COMPREHENSIVE: (sr.ComprehensiveSR, ComprehensiveSRStorage),
    ReportClass.ENHANCED: (sr.EnhancedSR, EnhancedSRStorage),
}
PLAIN: Final = Profile()
Whole = tuple[str, Region, Side, CodedConcept]
Group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations
LATERALITY = {Side.LEFT: codes.LEFT, Side.RIGHT: codes.RIGHT, Side.BOTH: codes.RIGHT_AND_LEFT}


def encode(
    source: ResultSource,
    assessment: Assessment,
    segs: Iterable[Dataset],
    comparison: Comparison | None = None,
    profile: Profile = PLAIN,
) -> Dataset:
    """Return the SR for an assessment whose masks are in ``segs``, those of the profile, compared with an earlier exam.

    What has no segment there is told all the same.
    """
    segs, role = tuple(segs), profile.report_role
    made = (_group(source, assessment, segs, one) for one in ORDER)
    groups: list[Group] = [group for group in made if group is not None]
    groups += change_groups.groups(source, comparison) if comparison else ()
    groups += zone_groups.groups(source, assessment)
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer.context(source)),
        procedure_reported=codes.CT_CHEST,
        imaging_measurements=groups,
        title=codes.IMAGING_MEASUREMENT_REPORT,
    )
    document, _ = DOCUMENTS[profile.report_class]
    result = document(
        # The first of them is taken for what was acquired, and its device for the acquisition equipment.
        evidence=[*source.objects, *segs],
        content=report[0],
        series_instance_uid=source.uid(f"{role} series"),
        series_number=source.series_number(PLACE),
        sop_instance_uid=source.uid(role),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        previous_versions=_predecessors(source, role),
        contributing_equipment=[source.equipment()],
        specific_character_set="ISO_IR 192",
        manufacturer_model_name=PRODUCT,
        software_versions=source.maker.software_version,
        device_serial_number=source.device_serial_number,
    )
    source.stamp(result, DESCRIPTION)
    _declare_codes(result)
    return result


def _predecessors(source: ResultSource, role: str) -> list[Dataset] | None:
    """Return the report that this one replaces, as far as a reference needs it: of its own role where there was one."""
    if source.predecessor is None:
        return None
    key, roles = source.predecessor.key, source.predecessor.roles
    # An earlier version wrote one report, and did not note its role.
    replaced = role if role in roles or roles[0] is None else roles[0]
    report = Dataset()
    report.StudyInstanceUID = source.images[0].StudyInstanceUID
    _, report.SOPClassUID = DOCUMENTS[class_of(replaced)]
    report.SeriesInstanceUID = uids.derive(key, f"{replaced} series")
    report.SOPInstanceUID = uids.derive(key, replaced)
    return [report]


def _algorithm(source: ResultSource) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(
        name=source.model_name,
        version=source.algorithm_version,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        manufacturer=MANUFACTURER,
        parameters=[f"weights_sha256={source.maker.model_digest}", source.maker.statement],
    )


def _group(source: ResultSource, assessment: Assessment, segs: Iterable[Dataset], one: Segment | Whole) -> Group | None:
    if not isinstance(one, Segment):
        return _whole_group(source, assessment, *one)
    region, side = OF_SEGMENT[one.finding]
    if (place := _place(segs, one)) is None:
        return _whole_group(source, assessment, one.finding, region, side, one.kind)
    told = list(numbers.of(assessment, region, side))
    return _segment_group(source, one, place, told) if told else None


def _segment_group(
    source: ResultSource, segment: Segment, place: tuple[Dataset, int], told: list[sr.Measurement]
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    (seg, number), (_, side) = place, OF_SEGMENT[segment.finding]
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=source.tracking_uid(segment.finding), identifier=f"Scleroscan {segment.finding}"
        ),
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=seg.SOPClassUID,
            sop_instance_uid=seg.SOPInstanceUID,
            segment_number=number,
            source_series=sr.SourceSeriesForSegmentation(str(source.images[0].SeriesInstanceUID)),
        ),
        finding_type=segment.kind,
        finding_category=segment.category,
        finding_sites=[sr.FindingSite(codes.LUNG, laterality=LATERALITY[side])],
        algorithm_id=_algorithm(source),
        measurements=told,
    )


def _place(segs: Iterable[Dataset], segment: Segment) -> tuple[Dataset, int] | None:
    """Return the SEG that holds a segment, and its number there; None where none holds it."""
    every = ((seg, one) for seg in segs for one in seg.SegmentSequence)
    return next(((seg, one.SegmentNumber) for seg, one in every if one.SegmentLabel == segment.label), None)


def _whole_group(
    source: ResultSource, assessment: Assessment, finding: str, region: Region, side: Side, kind: CodedConcept
) -> sr.MeasurementsAndQualitativeEvaluations | None:
    told = list(numbers.of(assessment, region, side))
    if not told:
        return None
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=source.tracking_uid(finding), identifier=f"Scleroscan {finding}"),
        finding_type=kind,
        finding_sites=[sr.FindingSite(codes.LUNG, laterality=LATERALITY[side])],
        algorithm_id=_algorithm(source),
        measurements=told,
        qualitative_evaluations=_evaluations(assessment, region, side),
    )


def _evaluations(assessment: Assessment, region: Region, side: Side) -> list[sr.QualitativeEvaluation] | None:
    if side is not Side.BOTH:
        return None
    if region is Region.LUNG:
        return _doubts(assessment)
    return [staging.category(assessment)] if region is Region.TOTAL else None


def _doubts(assessment: Assessment) -> list[sr.QualitativeEvaluation]:
    return [sr.QualitativeEvaluation(codes.QUALITY_FLAG, codes.own(flag.code)) for flag in assessment.flags]


def _declare_codes(result: Dataset) -> None:
    scheme = Dataset()
    scheme.CodingSchemeDesignator = codes.PRIVATE_SCHEME
    scheme.CodingSchemeName = codes.PRIVATE_SCHEME_NAME
    scheme.CodingSchemeResponsibleOrganization = MANUFACTURER
    result.CodingSchemeIdentificationSequence = Sequence([scheme])
