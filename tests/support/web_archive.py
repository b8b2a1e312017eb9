"""An archive that takes STOW-RS by TLS and asks for a login, and the server that gives tokens for it."""

import base64
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class WebArchive:
    """What it asks for, what it answers, and what came."""

    port: int = 0
    tokens: list[str] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    stored: list[bytes] = field(default_factory=list)
    token_requests: list[tuple[str, str]] = field(default_factory=list)
    token_status: int = 200

    @property
    def url(self) -> str:
        """The base URL of its DICOMweb services."""
        return f"https://127.0.0.1:{self.port}/dicom-web"

    @property
    def token_url(self) -> str:
        """Where it gives tokens."""
        return f"https://127.0.0.1:{self.port}/token"


@contextmanager
def running(context: ssl.SSLContext) -> Iterator[WebArchive]:
    """Run the archive for the length of the block."""
    archive = WebArchive()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(*(self._token(body) if self.path == "/token" else self._study(body)))

        def _token(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            login = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
            archive.token_requests.append((login, body.decode()))
            archive.tokens = [f"token-{len(archive.token_requests)}"]
            said: dict[str, Any] = {"access_token": archive.tokens[0], "expires_in": 3600, "token_type": "Bearer"}
            return archive.token_status, {}, json.dumps(said).encode()

        def _study(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            if self.headers.get("Authorization") not in {f"Bearer {one}" for one in archive.tokens}:
                return 401, {"WWW-Authenticate": "Bearer"}, b""
            archive.stored.append(body)
            return archive.answers.pop(0) if archive.answers else (200, {}, b"{}")

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    archive.port = server.server_address[1]
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield archive
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
