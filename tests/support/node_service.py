"""The whole node under test: listener and scheduler, as the commands run them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from db import audit
from db.audit import SeriesStatus
from db.tables import Job, Series
from tests.support import node_forks, services


@dataclass(frozen=True)
class RunningNode:
    """A node on a loopback port and the rows it writes."""

    port: int
    spool: Path
    sessions: sessionmaker[Session]

    def status(self, series_uid: str) -> SeriesStatus | None:
        """Where a series stands; None while nothing of it is registered."""
        with self.sessions.begin() as session:
            return next(iter(audit.status(session, series_uid)), None)

    def wait_until_closed(self, series_uid: str, timeout_s: float = 60, after: datetime | None = None) -> Series:
        """Wait until a series is no longer receiving, and return its row; ``after``: closed since a later image."""

        def closed() -> bool:
            row = self.series(series_uid)
            return row is not None and row.state != "receiving" and (after is None or row.last_arrival_at > after)

        services.wait_until(closed, timeout_s, f"the end of series {series_uid}")
        row = self.series(series_uid)
        assert row is not None
        return row

    def series(self, series_uid: str) -> Series | None:
        """The row of a series."""
        with self.sessions.begin() as session:
            return session.get(Series, series_uid)

    def jobs(self, series_uid: str) -> list[str]:
        """The states of a series' jobs, oldest first."""
        with self.sessions.begin() as session:
            return list(session.scalars(select(Job.state).where(Job.series_uid == series_uid).order_by(Job.id)))

    def trail(self, series_uid: str) -> list[dict[str, Any]]:
        """The events of a series, oldest first."""
        with self.sessions.begin() as session:
            return audit.trail(session, series_uid)


@contextmanager
def running(folder: Path, sessions: sessionmaker[Session], **settings: Any) -> Iterator[RunningNode]:
    """Run a node for the length of the block; ``settings`` are fields of NodeSettings.

    Without a ``site_file`` there are no rules and no choice: the series of these tests are short, and alike.
    """
    port = services.free_port()
    no_rules = folder / "no-rules.toml"
    no_rules.write_text('[routing]\nrule = []\nchoice = { measure = "all" }\n')
    fields: dict[str, Any] = {"site_file": no_rules}
    fields |= {"quiet_s": 2.0, "gap_wait_s": 6.0, "settle_s": 0.5, "min_free_mb": 0} | settings
    fields |= {"host": "127.0.0.1", "port": port, "spool_dir": folder / "spool"}
    url = sessions.kw["bind"].url.render_as_string(hide_password=False)
    words = [url, "memory://", json.dumps(fields, default=str)]
    log = folder / "node.log"
    with (
        services.ended(node_forks.start(["scheduler", *words], log)) as scheduler,
        services.ended(node_forks.start(["listener", *words], log)) as listener,
    ):
        services.wait_until(lambda: services.port_answers(port) or listener.poll() is not None, 60, "the listener")
        yield RunningNode(port, folder / "spool", sessions)
    assert (listener.returncode, scheduler.returncode) == (0, 0)
