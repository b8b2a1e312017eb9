"""Exams between rows and values: what the analysis compares knows no database."""

from db.tracking import ExamRow, MeasuredExam
from worker.analysis import timepoint
from worker.analysis.serial import Timepoint
from worker.reading.exam import Exam, Patient


def row_of(exam: Exam) -> ExamRow:
    """Return the row of an exam."""
    return ExamRow(
        study_uid=exam.study_uid,
        acquired=exam.acquired,
        patient_id=exam.patient.patient_id,
        issuer=exam.patient.issuer,
        patient_name=exam.patient.name,
        birth_date=exam.patient.birth_date,
        kernel=exam.kernel,
        thickness_mm=exam.thickness_mm,
        contrast=exam.contrast,
        position=exam.position,
    )


def timepoint_of(measured: MeasuredExam) -> Timepoint:
    """Return a measured exam as a value."""
    row = measured.exam
    exam = Exam(
        study_uid=row.study_uid,
        acquired=row.acquired,
        patient=Patient(row.patient_id, row.issuer, row.patient_name, row.birth_date),
        kernel=row.kernel,
        thickness_mm=row.thickness_mm,
        contrast=row.contrast,
        position=row.position,
    )
    return timepoint.from_numbers(exam, measured.series_uid, measured.model_digest, measured.numbers)
