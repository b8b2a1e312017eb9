"""Runs the stages from files to results: read, lungs, patterns, quantify, encode; without database and queue."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from PIL.Image import Image
from pydicom import Dataset

from db.states import OutputKind
from db.tracking import OutputFile, Predecessor
from worker.analysis import card as model_card
from worker.analysis import lungs, patterns, quantify, serial, timepoint
from worker.analysis.patterns.model import PatternModel
from worker.analysis.records import Assessment, LungMask, PatternMap
from worker.analysis.serial import Comparison, Timepoint
from worker.errors import EncodingFailed, ImplausibleResult
from worker.identity import SOFTWARE_VERSION
from worker.reading import chest, exam_header, headers, series, unchanged
from worker.reading.exam import Exam
from worker.reading.series import SourceSeries
from worker.reading.unchanged import ReceivedFile
from worker.results import files, key_images, page, page_object, page_pdf, page_sheet, picture, seg, segments, sr
from worker.results.profile import Profile, SegPart
from worker.results.source import Maker, ResultSource

# The errors that highdicom and pydicom raise on headers from which no valid object can be made.
ENCODING_ERRORS = (AttributeError, KeyError, TypeError, ValueError)


@dataclass(frozen=True)
class Task:
    """The input of one run: files of a series, the key that decides all UIDs, the folder for results.

    ``earlier`` are the measured exams under the same patient ID, whosever they are; ``predecessor`` is the job whose
    reports these replace; ``profiles`` say which SEGs and SRs are made, first those of the site; ``also`` are the
    objects wanted beside SEG and SR.
    """

    files: tuple[ReceivedFile, ...]
    job_key: str
    created_at: datetime
    folder: Path
    earlier: tuple[Timepoint, ...] = ()
    predecessor: Predecessor | None = None
    profiles: tuple[Profile, ...] = (Profile(),)
    also: frozenset[OutputKind] = frozenset({OutputKind.PAGE})


@dataclass(frozen=True)
class Result:
    """The output of one run; ``implausible`` is set where no chest has such numbers."""

    exam: Exam
    assessment: Assessment
    outputs: tuple[OutputFile, ...]
    implausible: ImplausibleResult | None


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found in a series; ``comparison`` None where there is no earlier exam to compare with."""

    lungs: LungMask
    patterns: PatternMap
    assessment: Assessment
    comparison: Comparison | None


def run(task: Task, model: PatternModel, enter: Callable[[str], None]) -> Result:
    """Assess one series.

    Parameters
    ----------
    enter
        Called with the name of each stage as it begins.

    Raises
    ------
    ImageChanged
        A file is not what was received.
    InputRejected
        The series cannot be measured rightly.
    EncodingFailed
        No valid object can be made from its headers.
    """
    enter("read")
    unchanged.require(task.files)
    source = series.read([file.path for file in task.files])
    chest.require(source.volume)
    enter("lungs")
    lung_mask = lungs.segment(source.volume)
    enter("patterns")
    found = patterns.segment(source.volume, lung_mask, model)
    enter("quantify")
    measured = quantify.assess(source.volume, lung_mask, found)
    assessment = replace(measured, flags=measured.flags + source.flags)
    now = timepoint.of(exam_header.read(source), source.series_uid, model.digest, assessment)
    findings = Findings(lung_mask, found, assessment, serial.with_earlier(task.earlier, now))
    enter("encode")
    outputs = _encode(task, model, source, findings, now.exam)
    return Result(now.exam, assessment, outputs, quantify.implausible(assessment))


def _result_source(task: Task, model: PatternModel, series_read: SourceSeries) -> ResultSource:
    return ResultSource(
        volume=series_read.volume,
        headers=series_read.headers,
        job_key=task.job_key,
        created_at=task.created_at,
        maker=Maker(
            SOFTWARE_VERSION,
            model_card.title(model.card),
            model.version,
            model.digest,
            model_card.statement(model.card),
        ),
        frames=tuple(one.frame for one in series_read.slices),
        predecessor=task.predecessor,
    )


def _below(source: ResultSource, assessment: Assessment) -> str:
    """Return what stands below the pictures: the statement of the model, and what speaks against the result."""
    doubts = ", ".join(flag.code for flag in assessment.flags)
    return f"{source.maker.statement} Quality flags: {doubts}." if doubts else source.maker.statement


def _shown(source: ResultSource, exam: Exam, found: Findings) -> page_sheet.Shown:
    return page_sheet.Shown(
        volume=source.volume,
        lungs=found.lungs,
        patterns=found.patterns,
        assessment=found.assessment,
        comparison=found.comparison,
        acquired=exam.acquired,
        made_by=f"Scleroscan {source.maker.software_version}, {source.maker.model}",
        statement=source.maker.statement,
    )


def _further(
    wanted: frozenset[OutputKind], source: ResultSource, found: Findings, frames: Sequence[Image]
) -> Iterator[tuple[OutputKind, Dataset]]:
    """Yield the objects that are made beside SEG and SR; ``frames`` are those of the page."""
    if OutputKind.PAGE in wanted:
        yield OutputKind.PAGE, page_object.encode(source, frames)
    if OutputKind.PDF in wanted:
        yield OutputKind.PDF, page_pdf.encode(source, frames)
    if OutputKind.KEY_IMAGES in wanted and (selection := key_images.encode(source, found.patterns)):
        yield OutputKind.KEY_IMAGES, selection


def _encode(
    task: Task, model: PatternModel, series_read: SourceSeries, found: Findings, exam: Exam
) -> tuple[OutputFile, ...]:
    source = _result_source(task, model, series_read)
    try:
        # Some values are decoded only now; pydicom's warnings would repeat them, and they may name a patient.
        # Drawing lets other threads run most of the time, making objects hardly ever does.
        with headers.quiet(), ThreadPoolExecutor(1, thread_name_prefix="draw") as beside:
            drawn = beside.submit(_drawn, task.also, source, exam, found)
            segs = _segs(task.profiles, source, found)
            reports = dict(_reports(task.profiles, source, found, segs))
            frames, sheet = drawn.result()
            further = dict(_further(task.also, source, found, frames))
        written = (
            *(files.write_object(task.folder, part.kind, one, part.role) for part, one in segs.items()),
            *(files.write_object(task.folder, "sr", one, role) for role, one in reports.items()),
            *(files.write_object(task.folder, kind, one) for kind, one in further.items()),
            files.write_picture(task.folder, "overlay", sheet),
        )
    except ENCODING_ERRORS as error:
        raise EncodingFailed(
            f"no valid SEG or SR can be made from the headers of this series ({type(error).__name__})",
            detail={"error": type(error).__name__},
        ) from error
    return tuple(OutputFile(one.kind, str(one.path), one.digest, one.sop_uid, one.role) for one in written)


def _segs(profiles: Sequence[Profile], source: ResultSource, found: Findings) -> dict[SegPart, Dataset]:
    """Return each SEG that a profile asks for, once."""
    parts = dict.fromkeys(part for profile in profiles for part in profile.parts)
    return {part: seg.encode(source, segments.of(part), found.lungs, found.patterns) for part in parts}


def _reports(
    profiles: Sequence[Profile], source: ResultSource, found: Findings, segs: Mapping[SegPart, Dataset]
) -> Iterator[tuple[str, Dataset]]:
    """Yield the SR of each profile, with its role: it refers to the SEGs of its profile."""
    for profile in profiles:
        of_profile = [segs[part] for part in profile.parts]
        yield profile.report_role, sr.encode(source, found.assessment, of_profile, found.comparison, profile)


def _drawn(
    wanted: frozenset[OutputKind], source: ResultSource, exam: Exam, found: Findings
) -> tuple[list[Image], Image]:
    """Return the frames of the page, where one is wanted, and the picture."""
    frames = page.frames(_shown(source, exam, found)) if wanted & {OutputKind.PAGE, OutputKind.PDF} else []
    below = _below(source, found.assessment)
    return frames, picture.contact_sheet(source.volume, found.lungs, found.patterns, below)
