"""Images as the registrar hands them to the rows, without any file."""

from datetime import UTC, datetime
from typing import Any

from db.tracking import Arrival


def arrivals(series_uid: str, count: int = 3, **changes: Any) -> list[Arrival]:
    """Return ``count`` images of a series; ``changes`` are fields of each."""
    fields: dict[str, Any] = {
        "sop_class": "1.2.840.10008.5.1.4.1.1.2",
        "study_uid": f"{series_uid}.0",
        "size_bytes": 100,
        "received_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "calling_ae": "CT1",
        "receiving_ae": "SCLEROSCAN",
        "transfer_syntax": "1.2.840.10008.1.2.1",
        "patient_id": "P1",
        "patient_name": "PHANTOM^ONE",
        "accession_number": "A1",
        "study_date": "20260102",
        "modality": "CT",
        "series_description": "chest",
        "plane": None,
    } | changes
    return [
        Arrival(
            sop_uid=f"{series_uid}.{number + 1}",
            series_uid=series_uid,
            digest=f"{number:064d}",
            path=f"spool/{series_uid}/{number}.dcm",
            **fields,
        )
        for number in range(count)
    ]
