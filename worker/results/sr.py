"""DICOM SR: the measurements as an Imaging Measurement Report (TID 1500), tied to the segments of the SEG."""

from collections.abc import Iterable
from enum import StrEnum

from highdicom import sr
from highdicom.sr.coding import CodedConcept
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from worker.analysis.records import Assessment, Region, Side
from worker.analysis.serial import Comparison
from worker.results import change_groups, codes, numbers, observer, staging, uids, zone_groups
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


class ReportClass(StrEnum):
    """The class of the report. All hold the same content; more archives take Enhanced SR."""

    COMPREHENSIVE_3D = "comprehensive3d"
    COMPREHENSIVE = "comprehensive"
    ENHANCED = "enhanced"


Document = type[sr.Comprehensive3DSR] | type[sr.ComprehensiveSR] | type[sr.EnhancedSR]
DOCUMENTS: dict[ReportClass, tuple[Document, str]] = {
    ReportClass.COMPREHENSIVE_3D: (sr.Comprehensive3DSR, Comprehensive3DSRStorage),
    ReportClass.COMPREHENSIVE: (sr.ComprehensiveSR, ComprehensiveSRStorage),
    ReportClass.ENHANCED: (sr.EnhancedSR, EnhancedSRStorage),
}
Group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations
LATERALITY = {Side.LEFT: codes.LEFT, Side.RIGHT: codes.RIGHT, Side.BOTH: codes.RIGHT_AND_LEFT}


def encode(
    source: ResultSource,
    assessment: Assessment,
    segs: Iterable[Dataset],
    comparison: Comparison | None = None,
    report_class: ReportClass = ReportClass.COMPREHENSIVE_3D,
) -> Dataset:
    """Return the SR for an assessment whose masks are in ``segs``, compared with an earlier exam."""
    segs = tuple(segs)
    made = (
        _segment_group(source, assessment, segs, one)
        if isinstance(one, Segment)
        else _whole_group(source, assessment, *one)
        for one in ORDER
    )
    groups: list[Group] = [group for group in made if group is not None]
    groups += change_groups.groups(source, comparison) if comparison else ()
    groups += zone_groups.groups(source, assessment)
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer.context(source)),
        procedure_reported=codes.CT_CHEST,
        imaging_measurements=groups,
        title=codes.IMAGING_MEASUREMENT_REPORT,
    )
    document, _ = DOCUMENTS[report_class]
    result = document(
        # The first of them is taken for what was acquired, and its device for the acquisition equipment.
        evidence=[*source.objects, *segs],
        content=report[0],
        series_instance_uid=source.uid(f"{_role(report_class)} series"),
        series_number=source.series_number(PLACE),
        sop_instance_uid=source.uid(_role(report_class)),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        previous_versions=_predecessors(source, report_class),
        contributing_equipment=[source.equipment()],
        specific_character_set="ISO_IR 192",
        manufacturer_model_name=PRODUCT,
        software_versions=source.maker.software_version,
        device_serial_number=source.device_serial_number,
    )
    source.stamp(result, DESCRIPTION)
    _declare_codes(result)
    return result


def _role(report_class: ReportClass) -> str:
    """Return what decides the UIDs: no two classes share one."""
    return "sr" if report_class is ReportClass.COMPREHENSIVE_3D else f"{report_class} sr"


def _predecessors(source: ResultSource, report_class: ReportClass) -> list[Dataset] | None:
    """Return the report that this one replaces, as far as a reference needs it."""
    if source.predecessor is None:
        return None
    report = Dataset()
    report.StudyInstanceUID = source.images[0].StudyInstanceUID
    role, (_, report.SOPClassUID) = _role(report_class), DOCUMENTS[report_class]
    report.SeriesInstanceUID = uids.derive(source.predecessor, f"{role} series")
    report.SOPInstanceUID = uids.derive(source.predecessor, role)
    return [report]


def _algorithm(source: ResultSource) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(
        name=source.model_name,
        version=source.algorithm_version,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        manufacturer=MANUFACTURER,
        parameters=[f"weights_sha256={source.maker.model_digest}", source.maker.statement],
    )


def _segment_group(
    source: ResultSource, assessment: Assessment, segs: Iterable[Dataset], segment: Segment
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations | None:
    region, side = OF_SEGMENT[segment.finding]
    told = list(numbers.of(assessment, region, side))
    if not told:
        return None
    seg, number = _place(segs, segment)
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


def _place(segs: Iterable[Dataset], segment: Segment) -> tuple[Dataset, int]:
    """Return the SEG that holds a segment, and its number there."""
    return next(
        (seg, one.SegmentNumber) for seg in segs for one in seg.SegmentSequence if one.SegmentLabel == segment.label
    )


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
    if region is Region.LUNG:
        return _doubts(assessment)
    return [staging.category(assessment)] if side is Side.BOTH else None


def _doubts(assessment: Assessment) -> list[sr.QualitativeEvaluation]:
    return [sr.QualitativeEvaluation(codes.QUALITY_FLAG, codes.own(flag.code)) for flag in assessment.flags]


def _declare_codes(result: Dataset) -> None:
    scheme = Dataset()
    scheme.CodingSchemeDesignator = codes.PRIVATE_SCHEME
    scheme.CodingSchemeName = codes.PRIVATE_SCHEME_NAME
    scheme.CodingSchemeResponsibleOrganization = MANUFACTURER
    result.CodingSchemeIdentificationSequence = Sequence([scheme])
