"""Servers that take what a monitor tells people: a mail server that asks for STARTTLS and a login, and a webhook."""

import json
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "scleroscan", "of the tests alone"


@dataclass
class MailServer:
    """Where it listens, who signed its certificate, and what it took."""

    port: int
    ca: Path
    took: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Take a mail."""
        assert isinstance(envelope.content, bytes)
        self.took.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


@contextmanager
def mail_server(folder: Path, port: int) -> Iterator[MailServer]:
    """Run a mail server that takes mails by STARTTLS after a login alone."""
    # Its every line would stand among those of the program that runs beside it.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "mail-ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = MailServer(port, folder / "mail-ca.pem")

    def known(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, said: Any) -> AuthResult:
        is_known = isinstance(said, LoginPassword) and (said.login, said.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_known, handled=False)

    asked = {"require_starttls": True, "auth_required": True, "authenticator": known}
    controller = Controller(server, hostname="127.0.0.1", port=port, tls_context=context, **asked)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


@dataclass
class Webhook:
    """Its URL, the status of its answers, and what it took: the body, and who it was from."""

    url: str
    status: int = 200
    took: list[dict[str, str]] = field(default_factory=list)
    logins: list[str | None] = field(default_factory=list)


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Run a webhook."""
    hook = Webhook("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if hook.status == 200:
                hook.took.append(body)
            hook.logins.append(self.headers["authorization"])
            self.send_response(hook.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.url = f"http://127.0.0.1:{server.server_port}/hooks/SECRET"
        serving = Thread(target=server.serve_forever, daemon=True)
        serving.start()
        try:
            yield hook
        finally:
            server.shutdown()
            serving.join()
