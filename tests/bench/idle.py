"""``python -m tests.bench.idle``: what a scheduler costs that has nothing to do.

Five thousand series at rest and fifty open ones lie in a private Postgres; processor seconds of the scheduler,
and of the database that serves it, are counted over a minute.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from sqlalchemy import insert
from sqlalchemy.orm import Session

from db import schema
from db.engine import open_database
from db.image_plane import ImagePlane
from db.states import JobState, SeriesState
from db.tables import Instance, Job, Series, Study
from tests.bench.figures import processor_s
from tests.support import servers, services

ROOT = "1.2.826.0.1.3680043.10.1613"
AT_REST_IMAGES, OPEN_IMAGES = 20, 300
# The open series stay open for as long as is measured.
PATIENCE = {"quiet_s": 3600.0, "gap_wait_s": 3600.0, "stalled_s": 86400.0, "settle_s": 5.0}


def main() -> int:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-rest", type=int, default=5000)
    parser.add_argument("--open", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scleroscan-idle-") as name:
        # The account of Postgres has to walk through it.
        Path(name).chmod(0o755)
        found = measured(Path(name), (asked.at_rest, asked.open), asked.seconds)
    if asked.json:
        print(json.dumps(found))
    else:
        Console(soft_wrap=True).print(f"{asked.at_rest} series at rest, {asked.open} open: {found}")
    return 0


def measured(folder: Path, counts: tuple[int, int], seconds: float) -> dict[str, float]:
    """Return processor seconds in a minute, of the scheduler and of its database."""
    (folder / "postgres").mkdir()
    database, url = servers.postgres(folder / "postgres")
    database.start()
    schema.upgrade(url)
    sessions = open_database(url)
    with sessions.begin() as session:
        fill(session, *counts)
    sessions.kw["bind"].dispose()
    scheduler = servers.scheduler(folder, servers.node_settings(folder, **PATIENCE), url, "memory://")
    scheduler.start()
    services.wait_until(lambda: "this scheduler leads" in (folder / "scheduler.log").read_text(), 60, "the scheduler")
    # What is looked at once after the start does not count.
    time.sleep(10)
    before = _spent(scheduler), _spent(database)
    time.sleep(seconds)
    after = _spent(scheduler), _spent(database)
    scheduler.stop()
    database.stop()
    per_minute = [round((b - a) * 60 / seconds, 2) for a, b in zip(before, after, strict=True)]
    return {"scheduler_cpu_s_per_min": per_minute[0], "database_cpu_s_per_min": per_minute[1]}


def _spent(server: servers.Server) -> float:
    assert server.process is not None
    return processor_s(server.process.pid)


def fill(session: Session, at_rest: int, still_open: int) -> None:
    """Write series at rest, each with a delivered job, and open ones that came just now."""
    now = datetime.now(UTC)
    long_ago = now - timedelta(days=1)
    for number in range(at_rest + still_open):
        rests = number < at_rest
        at, count = (long_ago, AT_REST_IMAGES) if rests else (now, OPEN_IMAGES)
        uid = f"{ROOT}.{number}"
        texts = dict.fromkeys(("patient_id", "patient_name", "accession_number", "study_date"), "")
        session.execute(insert(Study).values(uid=f"{uid}.0", **texts))
        state = SeriesState.COMPLETE if rests else SeriesState.RECEIVING
        times = {"first_arrival_at": at, "last_arrival_at": at}
        session.execute(
            insert(Series).values(
                uid=uid, study_uid=f"{uid}.0", modality="CT", description="", state=state, detail={}, **times
            )
        )
        session.execute(insert(Instance), list(_images(uid, count, at)))
        if rests:
            session.execute(insert(Job).values(**_job(uid, number, at)))


def _images(series_uid: str, count: int, at: datetime) -> Iterator[dict[str, Any]]:
    for number in range(count):
        plane = ImagePlane((1, 0, 0, 0, 1, 0), (0, 0, 2.0 * number), 512, 512, ("ORIGINAL", "PRIMARY", "AXIAL"))
        uids = {"series_uid": series_uid, "sop_uid": f"{series_uid}.{number + 1}", "sop_class": "1", "digest": "0" * 64}
        ways = {"calling_ae": "CT", "receiving_ae": "US", "transfer_syntax": "1", "path": f"/nowhere/{number}"}
        yield {**uids, **ways, "size_bytes": 1, "received_at": at, "plane": plane.as_json()}


def _job(series_uid: str, number: int, at: datetime) -> dict[str, Any]:
    digests = {"key": f"{number:064d}", **dict.fromkeys(("instances_digest", "model_digest", "settings_digest"), "0")}
    counts = {"attempt": 1, "attempts_forgiven": 0, "detail": {}}
    times = {"due_at": at, "created_at": at, "updated_at": at}
    return {"series_uid": series_uid, "state": JobState.DELIVERED, **digests, **counts, **times}


if __name__ == "__main__":
    sys.exit(main())
