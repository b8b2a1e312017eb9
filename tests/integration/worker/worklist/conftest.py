"""A worklist, and a site whose performer takes its items."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from tests.support import ups_server, workitems
from tests.support.ups_server import UpsServer
from tests.support.workitems import Site
from worker.settings import WorkerSettings
from worker.worklist_section import Worklist


@pytest.fixture
def ups() -> Iterator[UpsServer]:
    """A worklist without items."""
    with ups_server.running() as one:
        yield one


@pytest.fixture
def site(ups: UpsServer, sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[Site]:
    """A site that takes from it."""
    settings = WorkerSettings(results_dir=tmp_path / "results", delivery_retry_s=0.1)
    one = Site(sessions, settings, Worklist(url=ups.url, label=workitems.LABEL, patience_s=600))
    yield one
    one.close()
