"""UIDs derived from what an object is: the same job writes the same objects however often it runs."""

import hashlib
from uuid import UUID


def derive(key: str, role: str) -> str:
    """Return the UID of ``role`` under ``key``: '2.25.' and a UUID made of their SHA-256 (PS3.5 B.2)."""
    digest = hashlib.sha256(f"scleroscan\n{key}\n{role}".encode()).digest()
    return f"2.25.{UUID(bytes=digest[:16], version=4).int}"


def tracking(patient_id: str, issuer: str, study_uid: str, finding: str) -> str:
    """Return the tracking UID of a finding: the same in every study of one patient.

    Without a patient id nothing links two studies, and the study's own UID stands in.
    """
    patient = f"{issuer}\n{patient_id}" if issuer else patient_id
    return derive(patient if patient_id else study_uid, f"tracking {finding}")
