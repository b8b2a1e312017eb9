"""OHIF as a hospital serves it: its files, and behind the same address the DICOMweb of an archive."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

from tests.support import REPOSITORY

DIST = REPOSITORY / ".viewer" / "package" / "dist"
# As containers get it; beside it, that an overlay opens without asking first.
CONFIGURATION = (REPOSITORY / "compose" / "containers" / "ohif.js").read_text(encoding="utf-8")
NO_QUESTIONS = "window.config.disableConfirmationPrompts = true;"


@contextmanager
def serving(archive_port: int) -> Iterator[str]:
    """Serve OHIF over the archive at a loopback port for the length of the block; yield its address."""

    class Door(SimpleHTTPRequestHandler):
        def __init__(self, *given: object) -> None:
            super().__init__(*given, directory=str(DIST))

        def log_message(self, *said: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0].lstrip("/")
            if path.startswith("dicom-web"):
                self._pass_on()
            elif path == "app-config.js":
                self._answer(200, "text/javascript", f"{CONFIGURATION}{NO_QUESTIONS}".encode())
            else:
                # Addresses of the application are no files: each is the one page.
                self.path = self.path if (DIST / path).is_file() else "/index.html"
                super().do_GET()

        def _pass_on(self) -> None:
            connection = HTTPConnection("127.0.0.1", archive_port, timeout=120)
            # The archive builds the addresses of bulk data from the host that it was asked as.
            asked = {"Accept": self.headers.get("Accept", "*/*"), "Host": self.headers["Host"]}
            connection.request("GET", self.path, headers=asked)
            answer = connection.getresponse()
            self._answer(answer.status, answer.headers.get("Content-Type", ""), answer.read())
            connection.close()

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
