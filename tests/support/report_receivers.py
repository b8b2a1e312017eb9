"""Those who take reports: hl7apy's MLLP server, and a FHIR server that knows transactions and conditional creates."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.observation import Observation
from hl7apy.mllp import AbstractHandler, MLLPServer
from hl7apy.parser import parse_message


@dataclass
class Receiver:
    """Its port, what came, and how it answers: the text of MSA and ERR, for each message the next."""

    port: int = 0
    messages: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    def answer_to(self, message: str) -> str:
        """Return the acknowledgement of a message, by default AA."""
        self.messages.append(message)
        control_id = parse_message(message).msh.msh_10.to_er7()
        said = self.answers.pop(0) if self.answers else "MSA|AA|{id}"
        return f"MSH|^~\\&|RIS|H|SCLEROSCAN|H|20260102||ACK^R01^ACK|1|P|2.5.1\r{said.format(id=control_id)}\r"


@contextmanager
def hl7(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run a receiver of ORU^R01 for the length of the block."""
    receiver = Receiver()

    class Handler(AbstractHandler):
        def reply(self) -> str:
            return f"\x0b{receiver.answer_to(self.incoming_message)}\x1c\r"

    server = MLLPServer("127.0.0.1", 0, {"ORU^R01^ORU_R01": (Handler,)}, timeout=20)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_address[1]
    with _serving(server):
        yield receiver


@dataclass
class FhirStore:
    """Its port, what it holds by type and identifier, and the answers that it gives before it takes anything."""

    port: int = 0
    held: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    answers: list[tuple[int, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    token: str | None = None
    transactions: int = 0

    def take(self, body: bytes) -> dict[str, Any]:
        """Do a transaction: each resource is checked, and made unless one of its identifier is there."""
        bundle = json.loads(body)
        Bundle.model_validate(bundle)
        assert bundle["type"] == "transaction"
        for entry in bundle["entry"]:
            resource, (known,) = entry["resource"], entry["resource"]["identifier"]
            {"Observation": Observation, "DiagnosticReport": DiagnosticReport}[entry["request"]["url"]].model_validate(
                resource
            )
            asked = parse_qs(urlsplit(f"?{entry['request']['ifNoneExist']}").query)
            assert asked == {"identifier": [f"{known['system']}|{known['value']}"]}
            self.held.setdefault((resource["resourceType"], f"{known['system']}|{known['value']}"), resource)
        self.transactions += 1
        return {"resourceType": "Bundle", "type": "transaction-response"}

    def found(self, resource_type: str, identifier: str) -> dict[str, Any]:
        """Answer a search by identifier."""
        match = self.held.get((resource_type, identifier))
        found = {"resourceType": "Bundle", "type": "searchset", "total": int(match is not None)}
        return found | ({"entry": [{"resource": match}]} if match else {})


@contextmanager
def fhir(context: ssl.SSLContext | None = None) -> Iterator[FhirStore]:
    """Run a FHIR server for the length of the block."""
    store = FhirStore()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(store))
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    store.port = server.server_address[1]
    with _serving(server):
        yield store


def _handler_of(store: FhirStore) -> type[BaseHTTPRequestHandler]:  # noqa: C901  methods of one small class
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if store.token is not None and self.headers.get("Authorization") != f"Bearer {store.token}":
                self._answer(401, {}, {"resourceType": "OperationOutcome", "issue": [{"code": "login"}]})
            elif store.answers:
                self._answer(*store.answers.pop(0))
            else:
                self._answer(200, {}, store.take(body))

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            if asked.path.endswith("/metadata"):
                self._answer(200, {}, {"resourceType": "CapabilityStatement"})
            else:
                (identifier,) = parse_qs(asked.query)["identifier"]
                self._answer(200, {}, store.found(asked.path.rpartition("/")[2], identifier))

        def _answer(self, status: int, headers: dict[str, str], said: dict[str, Any]) -> None:
            body = json.dumps(said).encode()
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def _serving(server: Any) -> Iterator[None]:
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
