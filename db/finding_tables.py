"""The tables of what a job found: its numbers, the remarks on them, and the exam that they are of."""

from sqlalchemy import ForeignKey, Index, and_
from sqlalchemy.orm import Mapped, mapped_column

from db.tables import UID, Base


class Measurement(Base):
    """One number of a job, with its place and unit."""

    __tablename__ = "measurement"
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    region: Mapped[str] = mapped_column(primary_key=True)
    side: Mapped[str] = mapped_column(primary_key=True)
    zone: Mapped[str] = mapped_column(primary_key=True)
    quantity: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float]
    unit: Mapped[str]


# For auditors: what views tell of both whole lungs, of the 131 numbers that a job has.
_TOLD = ("volume", "extent", "extent_lower", "extent_upper", "area_extent")
_WHOLE = (Measurement.side == "both", Measurement.zone == "whole", Measurement.quantity.in_(_TOLD))
Index(
    "ix_measurement_whole",
    Measurement.job_id,
    Measurement.region,
    Measurement.quantity,
    postgresql_where=and_(*_WHOLE),
    postgresql_include=["value"],
).ddl_if(dialect="postgresql")


class Exam(Base):
    """What the images of a job said of patient and scan: by it exams of one patient are compared."""

    __tablename__ = "exam"
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    study_uid: Mapped[str] = mapped_column(UID)
    acquired: Mapped[str]
    patient_id: Mapped[str] = mapped_column(index=True)
    issuer: Mapped[str]
    patient_name: Mapped[str]
    birth_date: Mapped[str]
    kernel: Mapped[str]
    thickness_mm: Mapped[float]
    contrast: Mapped[bool]
    position: Mapped[str]


class QualityFlag(Base):
    """A quality flag of a job: a remark on how its numbers came about."""

    __tablename__ = "quality_flag"
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]
    value: Mapped[float | None]
