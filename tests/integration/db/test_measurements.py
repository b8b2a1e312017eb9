"""Numbers of a job as rows, on SQLite and Postgres."""

from dataclasses import replace

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from db.tracking import MeasurementRow
from tests.integration.db.test_tracking import PACS, RESULTS, claimed, later, opened
from worker.analysis.records import WHOLE, Quantity, Region, Side, Unit


def test_the_words_of_the_analysis_are_kept_as_text(sessions: sessionmaker[Session]) -> None:
    lung = MeasurementRow(Region.LUNG, Side.BOTH, WHOLE, Quantity.VOLUME, 4000.0, Unit.MILLILITRE)
    total = MeasurementRow(Region.TOTAL, Side.BOTH, WHOLE, Quantity.EXTENT, 12.5, Unit.PERCENT)
    held = claimed(sessions, opened(sessions))
    with sessions.begin() as session:
        tracking.record_results(
            session, held, replace(RESULTS, measurements=(lung, total)), (tracking.Recipient(PACS),), later(1)
        )
    with sessions.begin() as session:
        rows = session.execute(text("SELECT region, side, zone, quantity, unit FROM measurement ORDER BY region")).all()
        (result,) = audit.results(session)
    assert [tuple(row) for row in rows] == [
        ("lung", "both", "whole", "volume", "ml"),
        ("total", "both", "whole", "extent", "%"),
    ]
    assert (result["lung_volume_ml"], result["total_extent_pct"], result["total_area_extent_pct"]) == (4000, 12.5, None)
