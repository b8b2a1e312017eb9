"""What an audit repository is told, by a real syslog server: all of it, however long it was away."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from lxml.etree import _Element
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.process_tables import AuditFeed
from db.tables import Event
from db.tls_profile import TlsFiles
from dicom_node.audit_messages import syslog
from dicom_node.scheduler.audit_feed import AuditRepository
from dicom_node.spool.notices import AUDIT_USED, STARTED, STOPPED, Notices
from tests.integration.dicom_node.test_calls_by_tls import issued
from tests.support import services, site_rows, syslog_server

Sessions = sessionmaker[Session]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
US = "SCLEROSCAN"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return issued(tmp_path_factory.mktemp("tls") / "own", trustme.CA())


def repository(sessions: Sessions, folder: Path, url: str, files: TlsFiles | None = None) -> AuditRepository:
    """Return the feed of a site in which something has happened before: nobody is told of that."""
    own = (files.authority, files.certificate, files.key) if files else (None, None, None)
    told = AuditRepository(sessions, Notices(folder, True), lambda: syslog.repository(url, *own), US)
    with sessions.begin() as session:
        site_rows.received(session, "1.2.826.0.1.9", "P9", "CT9")
    assert told.tick(NOW) is False
    return told


def happen(sessions: Sessions) -> None:
    """Two series with a result each: one delivered, one refused by its archive."""
    site_rows.fill(sessions)
    site_rows.refuse_waiting(sessions)


def tell_all(told: AuditRepository) -> None:
    while told.tick(NOW):
        pass


def said(document: _Element) -> tuple[str, str, list[str]]:
    """(event, outcome, what took part) of a message."""
    (event,) = document.iterfind("EventIdentification")
    took_part = [
        one.get("AlternativeUserID", "").removeprefix("AETITLES=") for one in document.iter("ActiveParticipant")
    ]
    return event.find("EventID").get("csd-code"), event.get("EventOutcomeIndicator"), took_part


EXPECTED = [
    ("110104", "0", ["CT1", US]),
    ("110102", "0", [US, "PACS"]),
    ("110104", "0", [US, "PACS"]),
    ("110104", "0", ["CT2", US]),
    ("110102", "0", [US, "PACS"]),
    ("110104", "8", [US, "PACS"]),
]


def test_rsyslog_takes_all_by_tls_with_certificates(tmp_path: Path, sessions: Sessions, files: TlsFiles) -> None:
    port = services.free_port()
    told = repository(sessions, tmp_path / "notices", f"syslog+tls://127.0.0.1:{port}", files)
    happen(sessions)
    # Away: nothing is lost, and the next try begins where this one did.
    with pytest.raises(OSError):  # noqa: PT011  whichever it is
        told.tick(NOW)
    with syslog_server.running(tmp_path / "rsyslog", port, files) as server:
        tell_all(told)
        tell_all(told)
        services.wait_until(lambda: len(server.messages()) >= len(EXPECTED), what="the messages")
        assert [said(one) for one in server.documents()] == EXPECTED
        first = server.messages()[0]
    assert (first["pri"], first["app"], first["msgid"], first["protocol"]) == ("85", "scleroscan", "DICOM+RFC3881", "1")
    (study, patient) = server.documents()[2].iterfind("ParticipantObjectIdentification")
    assert patient.get("ParticipantObjectID") == "P1"
    assert study.find(".//Instance").get("UID") == f"{site_rows.DELIVERED}.99"


def test_a_repository_without_our_trust_is_told_nothing(tmp_path: Path, sessions: Sessions, files: TlsFiles) -> None:
    port = services.free_port()
    strange = replace(files, authority=issued(tmp_path / "strange", trustme.CA()).authority)
    told = repository(sessions, tmp_path / "notices", f"syslog+tls://127.0.0.1:{port}", strange)
    happen(sessions)
    with syslog_server.running(tmp_path / "rsyslog", port, files) as server:
        with pytest.raises(OSError, match="certificate"):
            told.tick(NOW)
        assert server.messages() == []


def test_rsyslog_takes_notices_of_processes_in_datagrams(tmp_path: Path, sessions: Sessions) -> None:
    port, notices = services.free_port(), Notices(tmp_path / "notices", True)
    told = repository(sessions, tmp_path / "notices", f"syslog+udp://127.0.0.1:{port}")
    notices.write(STARTED, "scheduler")
    for _ in range(3):
        notices.refused("listener", {"calling_ae": "ST\x01RANGER", "address": "10.0.0.9", "why": "it is not known"})
    notices.write(AUDIT_USED, "operator:anna")
    notices.write(STOPPED, "scheduler")
    with syslog_server.running(tmp_path / "rsyslog", port, None) as server:
        tell_all(told)
        services.wait_until(lambda: len(server.messages()) >= 4, what="the datagrams")
        documents = server.documents()
    kinds = [one.find("EventIdentification/EventTypeCode") for one in documents]
    assert [said(one)[0] for one in documents] == ["110100", "110113", "110101", "110100"]
    assert [None if kind is None else kind.get("csd-code") for kind in kinds] == ["110120", "110126", None, "110121"]
    assert list(notices.waiting()) == []


def test_an_event_whose_transaction_ends_late_is_told(sessions: Sessions) -> None:
    with sessions.begin() as session:
        assert tracking.next_batch(session, NOW) is None
        site_rows.received(session, "1.2.3", "P1", "CT1")
        # As if the numbers before were other transactions', which are not over.
        session.get_one(AuditFeed, "syslog").last_event_id = -2
    with sessions.begin() as session:
        batch = tracking.next_batch(session, NOW)
        assert batch is not None
        assert (batch.last_id, list(batch.missing)) == (2, ["-1", "0"])
        tracking.told(session, batch)
    with sessions.begin() as session:
        assert tracking.next_batch(session, NOW) is None
        closing = session.execute(select(Event.__table__).where(Event.id == 2)).one()._asdict()
        session.add(Event(**closing | {"id": 0, "sequence": 3}))
    with sessions.begin() as session:
        late = tracking.next_batch(session, NOW)
        assert late is not None
        assert ([one.senders for one in late.events], list(late.missing)) == ([("CT1",)], ["-1"])
        tracking.told(session, late)
    with sessions.begin() as session:
        site_rows.received(session, "1.2.4", "P2", "CT2")
        much_later = tracking.next_batch(session, NOW + timedelta(hours=2))
        assert much_later is not None
        assert much_later.missing == {}


def test_every_event_of_a_long_late_transaction_is_told(sessions: Sessions) -> None:
    with sessions.begin() as session:
        assert tracking.next_batch(session, NOW) is None
        site_rows.received(session, "1.2.3", "P1", "CT1")
        # As if one transaction had taken 300 numbers before, and was not over.
        session.get_one(AuditFeed, "syslog").last_event_id = -300
    with sessions.begin() as session:
        batch = tracking.next_batch(session, NOW)
        assert batch is not None
        assert len(batch.missing) == 300
