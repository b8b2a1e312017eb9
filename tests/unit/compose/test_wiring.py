"""Times and tables: what the wiring itself works out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from compose.demo import stage_seconds
from compose.status_lines import status_lines
from db.audit import DeliveryStatus, SeriesStatus

START = datetime(2026, 1, 1, tzinfo=UTC)


def event(
    seconds: float, subject: str, from_state: str | None, to_state: str, stage: str | None = None
) -> dict[str, Any]:
    return {
        "at": START + timedelta(seconds=seconds),
        "subject": subject,
        "from_state": from_state,
        "to_state": to_state,
        "code": "stage" if stage else None,
        "detail": {"stage": stage} if stage else {},
    }


def test_each_stage_lasts_until_the_next_one_begins() -> None:
    trail = [
        event(0, "series", None, "receiving"),
        event(3, "job", None, "queued"),
        event(5, "job", "queued", "running"),
        event(5.5, "job", "running", "running", "read"),
        event(7, "job", "running", "running", "lungs"),
        event(10, "job", "running", "encoded"),
        event(11, "delivery", "pending", "sent"),
        event(12, "job", "encoded", "delivered"),
    ]
    assert stage_seconds(trail) == {"complete": 3.0, "queue": 2.5, "read": 1.5, "lungs": 3.0, "deliver": 2.0}


def test_status_says_why_and_cuts_no_uid() -> None:
    uid = "1.2." + "3" * 60
    row = SeriesStatus(
        series_uid=uid,
        description="",
        instances=63,
        last_arrival_at=START,
        series_state="incomplete",
        job_id=1,
        state="rejected",
        stage=None,
        attempt=1,
        code="missing_slices",
        reason="1 of 64 slices are missing",
        detail={"missing": 1},
        deliveries=(DeliveryStatus("dicom://P@h:104", "pending", 2, None, "no answer"),),
    )
    said = "\n".join(line.plain for line in status_lines([row]))
    for part in (uid, "missing_slices: 1 of 64 slices are missing", "missing = 1", "pending after 2 tries (no answer)"):
        assert part in said
    dead = DeliveryStatus("dicom://P@h:104", "failed", 1, None, "class not taken", kind="page")
    said = "\n".join(line.plain for line in status_lines([replace(row, deliveries=(dead,))]))
    assert "page to dicom://P@h:104: dead letter after 1 try (class not taken)\n          scleroscan retry 1" in said
    once = replace(row, deliveries=(DeliveryStatus("dicom://P@h:104", "pending", 1, None, "no answer"),))
    assert "pending after 1 try (no answer)" in "\n".join(line.plain for line in status_lines([once]))
