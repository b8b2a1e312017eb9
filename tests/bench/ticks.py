"""What the scheduler and those beside it ask again and again, of a small site and of a large one."""

import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from db import schema, tracking
from db.counts import site_counts
from dicom_node.scheduling import retention
from dicom_node.settings import NodeSettings
from tests.bench import audited_rows
from tests.bench.figures import Row
from tests.support import services

# A day after the last series; images stay for thirty.
NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
LEFT = "UPDATE instance SET removed_at = now() WHERE received_at < TIMESTAMPTZ '2026-01-30'"
READ = "SELECT SUM(seq_tup_read + COALESCE(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"
IMAGES = 4
TICK, ARRIVING = "4 a second", "4 a second while images come"
Question = Callable[[Session, Path], Any]
ASKED: dict[tuple[str, str], Question] = {
    ("the jobs that are due", TICK): lambda session, _: tracking.due_jobs(session, NOW),
    ("the deliveries that are due", TICK): lambda session, _: tracking.due_deliveries(session, NOW),
    ("the wake-ups that were lost", "every 15 s"): lambda session, _: tracking.unanswered(session, NOW, NOW),
    ("the series that are open", ARRIVING): lambda session, _: tracking.open_series(session),
    ("the series set aside for one that was refused", ARRIVING): lambda session, _: tracking.reconsidered(
        session, NOW, NOW - timedelta(hours=1)
    ),
    ("what an archive that is back is owed", "each object"): lambda session, _: tracking.reached(
        session, audited_rows.PACS, NOW
    ),
    ("what may leave the spool", "every 10 minutes"): lambda session, _: tracking.removable(
        session, retention(NodeSettings()), NOW
    ),
    ("the heads of all chains, for anchors", "an hour"): lambda session, folder: tracking.anchor(
        session, folder / "anchors", NOW
    ),
    ("the numbers of /metrics", "each scrape"): lambda session, _: site_counts(session, NOW),
}


def measured(sizes: tuple[int, ...], images: int, rounds: int) -> Iterator[Row]:
    """Yield a row for each question: milliseconds at each size, and rows read at the largest."""
    found: dict[tuple[str, str], dict[str, float]] = {asked: {} for asked in ASKED}
    for series in sizes:
        with services.postgres() as server, tempfile.TemporaryDirectory() as name:
            url = f"{server}/postgres"
            schema.upgrade(url)
            engine = create_engine(url)
            audited_rows.fill(engine, series, images)
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text(LEFT))
                connection.execute(text("VACUUM ANALYZE"))
            for asked, question in ASKED.items():
                ms, read = _spent(sessionmaker(engine), question, Path(name), rounds)
                found[asked] |= {f"ms, {series:,} series": ms, "rows read": read}
            engine.dispose()
    for (what, how_often), figures in found.items():
        read = figures.pop("rows read")
        yield {"asked": what, "how often": how_often, **figures, "rows read": f"{read:,.0f}"}


def _spent(sessions: sessionmaker[Session], question: Question, folder: Path, rounds: int) -> tuple[float, float]:
    """Return the least milliseconds of a few times, which is what it takes, and the rows that one reads."""
    times = []
    for _ in range(rounds):
        with sessions.begin() as session:
            before, begun = session.scalar(text(READ)), time.perf_counter()
            question(session, folder)
            times.append(1000 * (time.perf_counter() - begun))
            read = float(session.scalar(text(READ)) - before)
    return min(times), read
