"""Whom and how a series was scanned: what decides whether two of them may be compared."""

from dataclasses import dataclass


def day(acquired: str) -> str:
    """Return the date of an exam as people read it, YYYY-MM-DD; empty where it is not known."""
    return f"{acquired[:4]}-{acquired[4:6]}-{acquired[6:8]}" if len(acquired) >= 8 else ""


@dataclass(frozen=True)
class Patient:
    """The patient as the images name him or her; empty where they say nothing. ``birth_date`` is YYYYMMDD."""

    patient_id: str
    issuer: str = ""
    name: str = ""
    birth_date: str = ""


@dataclass(frozen=True)
class Exam:
    """One scan. ``acquired`` is YYYYMMDDHHMMSS, or the date alone; ``contrast`` whether an agent is named."""

    study_uid: str
    acquired: str
    patient: Patient
    kernel: str = ""
    thickness_mm: float = 0.0
    contrast: bool = False
    position: str = ""
