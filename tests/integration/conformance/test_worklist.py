"""The statement on UPS-RS beside what a performer really asks of a worklist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db.engine import open_database
from tests.support import databases, services, statement, ups_server, workitems
from tests.support.ups_server import COMPLETED, UpsServer
from tests.support.workitems import NOW, Site
from worker.settings import WorkerSettings
from worker.worklist_section import Worklist

REQUESTS, _, _ = statement.tables("3.11")


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[sessionmaker[Session]]:
    """Sessions on an empty database."""
    maker = open_database(databases.sqlite(tmp_path / "rows.db"))
    yield maker
    maker.kw["bind"].dispose()


def shape(request: str) -> str:
    """Return a request without base URL, query, UIDs and AE title."""
    bare = re.sub(r"[?].*", "", request.replace("/dicom-web", ""))
    return re.sub(r"2[.]25[.]\d+", "{uid}", bare).replace("SCLEROSCAN", "{AE title}")


def test_a_performer_asks_what_is_listed(sessions: sessionmaker[Session], tmp_path: Path) -> None:
    with ups_server.running() as ups:
        site = Site(sessions, WorkerSettings(results_dir=tmp_path / "results"), worklist(ups))
        site.receive()
        site.delivered_to("https://pacs.example/dicom-web")
        uid, performer = ups.add(site.item()), site.performer()
        performer.search(NOW)
        for _ in range(3):
            performer.advance(NOW)
        services.wait_until(lambda: ups.listeners() == 1, 10, "the connection for events")
        site.close()
    assert ups.state(uid) == COMPLETED
    asked = {shape(f"{method} {path}") for method, path in ups.asked}
    assert asked == {shape(request) for request in statement.codes(REQUESTS, "request")}


def worklist(ups: UpsServer) -> Worklist:
    """Return the section for a worklist."""
    return Worklist(url=ups.url, label=workitems.LABEL)
