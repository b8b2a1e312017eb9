"""Doors that held when strangers tried them: nearly known callers, redirects, pickles, SQL in arguments."""

import json
import pickle
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from kombu.exceptions import ContentDisallowed
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from compose import broker
from db import audit, tracking
from db.tables import Event
from dicom_node.errors import PeerAway
from dicom_node.retrieve import pull
from dicom_node.retrieve.request import RetrieveRequest
from dicom_node.retrieve.source import open_source
from dicom_node.scp.access_control import AccessControl, Peer
from dicom_node.scp.handlers import Receiver
from dicom_node.scp.listener import Address, Listener, Security
from dicom_node.settings import NodeSettings
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import CT_CLASSES
from tests.integration.db.test_tracking import opened
from tests.support.malformed import association_request
from worker import app as worker_app
from worker.settings import EMBEDDED, WorkerSettings

# The types of the PDUs that answer an association request (PS3.8 9.3).
ACCEPTED, REJECTED, ABORTED = b"\x02", b"\x03", b"\x07"
NEARLY = (
    b"scanner",
    b"Scanner",
    b"SCANNER1",
    b"1SCANNER",
    b"SCANNE",
    b"CANNER",
    b"SCANNER.",
    b"SCANNER*",
    b"SCANN?R",
    b"SC ANNER",
    b"SCANNER\0",
    b"SCANNER\x7f",
    b"SCANNER,OTHER",
    b"SCANN\xc3\x8bR",
    b"*",
)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A listener that knows one caller."""
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    control = AccessControl("SCLEROSCAN", (Peer(ae_title="SCANNER"),))
    address = Address("SCLEROSCAN", "127.0.0.1", 0, request_timeout_s=5)
    with Listener(address, Receiver(spool).handlers(), CT_CLASSES, Security(control)) as listener:
        yield listener.port


def answer(port: int, calling: bytes) -> bytes:
    """Return the type of the PDU that answers an association request."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as asking:
        asking.sendall(association_request(calling=calling))
        return asking.recv(1)


def test_who_is_nearly_on_the_list_is_not_on_it(port: int) -> None:
    assert len(NEARLY) == 15
    assert {calling for calling in NEARLY if answer(port, calling) not in (REJECTED, ABORTED)} == set()
    assert answer(port, b"SCANNER") == ACCEPTED


class Recorded(ThreadingHTTPServer):
    """Answers every request with a redirect where it has a target, and keeps who asked with which token."""

    def __init__(self, target: str | None) -> None:
        super().__init__(("127.0.0.1", 0), Redirecting)
        self.target = target
        self.tokens: list[str | None] = []


class Redirecting(BaseHTTPRequestHandler):
    """The answers of :class:`Recorded`."""

    server: Recorded

    def do_GET(self) -> None:
        """Redirect, or say that there is nothing."""
        self.server.tokens.append(self.headers.get("Authorization"))
        self.send_response(307 if self.server.target else 204)
        if self.server.target:
            self.send_header("Location", self.server.target + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(target: str | None) -> Iterator[Recorded]:
    with Recorded(target) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_a_redirect_carries_the_token_to_nobody_else(tmp_path: Path) -> None:
    with serving(None) as elsewhere, serving(f"http://127.0.0.1:{elsewhere.server_port}") as archive:
        url = f"http://127.0.0.1:{archive.server_port}"
        node = NodeSettings(spool_dir=tmp_path, min_free_mb=0, source=url, source_token=SecretStr("secret"))
        with pytest.raises(PeerAway):
            pull.run(node, RetrieveRequest("1.2.3"))
        with pytest.raises(PeerAway):
            open_source(url, "SCLEROSCAN", "secret").number_of_instances("1.2.3", "1.2.3.4")
        assert (archive.tokens, elsewhere.tokens) == (["Bearer secret"] * 2, [])


class Planted:
    """Writes a file as soon as it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.write_text, (self.path, "unpickled")


def test_a_pickle_on_the_broker_is_never_opened(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    body = pickle.dumps(Planted(planted))
    with broker.running(EMBEDDED) as url:
        site = worker_app.Site(WorkerSettings(broker_url=url), f"sqlite:///{tmp_path}/none.db")
        app = worker_app.build(site)
        with app.connection_for_write() as connection:
            for kind, encoding in (("application/x-python-serialize", "binary"), ("application/data", "binary")):
                producer = connection.Producer()
                producer.publish(body, routing_key="analyse", content_type=kind, content_encoding=encoding)
            producer.publish(json.dumps([[1], {}, {}]), routing_key="analyse", content_type="application/json")
            received: list[Any] = []
            with app.amqp.TaskConsumer(
                connection.channel(), on_message=received.append, queues=[app.amqp.queues["analyse"]]
            ):
                while len(received) < 3:
                    connection.drain_events(timeout=30)
            with pytest.raises(ContentDisallowed):
                received[0].decode()
            assert [message.decode() for message in received[1:]] == [body, [[1], {}, {}]]
    assert not planted.exists()


SQL = ("1.2.3' OR '1'='1", "'; DELETE FROM event; --", "1.2.3\\' OR 1=1 --", "%", '1.2.3" OR ""="')


@pytest.mark.parametrize("words", SQL)
def test_sql_in_an_argument_is_a_text_like_any_other(sessions: sessionmaker[Session], words: str) -> None:
    opened(sessions)
    with sessions.begin() as session:
        before = session.scalar(select(func.count()).select_from(Event))
        assert audit.status(session, words) == []
        assert audit.results(session, words) == []
        assert audit.trail(session, words) == []
        assert tracking.verify_series(session, words) == f"series {words} has no events"
        assert session.scalar(select(func.count()).select_from(Event)) == before == 3
