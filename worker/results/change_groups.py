"""The groups of an SR that say what changed since an earlier exam of the patient (TID 1501)."""

from collections.abc import Iterator

from highdicom import sr

from worker.analysis.serial import Change, Comparison
from worker.results import codes, numbers
from worker.results.source import ResultSource
from worker.results.zone_groups import REGIONS


def groups(source: ResultSource, comparison: Comparison) -> Iterator[sr.MeasurementsAndQualitativeEvaluations]:
    """Yield a group for each finding that both exams measured; each names the earlier study and its date."""
    caveats = [sr.QualitativeEvaluation(codes.COMPARISON_CAVEAT, codes.own(one)) for one in comparison.caveats]
    for change in comparison.changes:
        finding, kind = REGIONS[change.region]
        name = f"change of {finding}"
        verdict = sr.QualitativeEvaluation(codes.CHANGE_VERDICT, codes.own(change.verdict().replace(" ", "_")))
        group = sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(uid=source.tracking_uid(name), identifier=f"Scleroscan {name}"),
            finding_type=kind,
            finding_sites=[sr.FindingSite(codes.LUNG, laterality=codes.RIGHT_AND_LEFT)],
            measurements=list(_numbers(change)),
            qualitative_evaluations=[verdict, *caveats],
        )
        group[0].ContentSequence.extend(_compared_with(comparison))
        yield group


def _numbers(change: Change) -> Iterator[sr.Measurement]:
    named = ((codes.CHANGE, change.points), (codes.CHANGE_LOWER, change.lower), (codes.CHANGE_UPPER, change.upper))
    for name, value in named:
        if value is not None:
            yield numbers.said(sr.Measurement(name, value, codes.PERCENT), 1)


def _compared_with(comparison: Comparison) -> Iterator[sr.ContentItem]:
    earlier, kind = comparison.earlier.exam, sr.RelationshipTypeValues.HAS_OBS_CONTEXT
    yield sr.UIDRefContentItem(codes.STUDY_INSTANCE_UID, earlier.study_uid, kind)
    yield sr.DateContentItem(codes.STUDY_DATE, earlier.acquired[:8], kind)
