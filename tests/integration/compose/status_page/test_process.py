"""The status page as a process of its own, as a site runs it; and the commands that say who may log in."""

import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode

import trustme
from sqlalchemy.orm import Session, sessionmaker

from compose.processes import UNUSABLE_SETTINGS
from tests.integration.compose.test_command import only_line, scleroscan
from tests.support import services
from tests.support.audited_site import uid
from tests.support.command import run

HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}
MANY_SECONDS = 60


@contextmanager
def served(folder: Path, url: str, **settings: str) -> Iterator[int]:
    """Run `scleroscan status-page`; yield its port."""
    port = services.free_port()
    environ = os.environ | {
        "DB_URL": url,
        "DICOM_NODE_SPOOL_DIR": str(folder / "spool"),
        "STATUS_PAGE_ACCOUNTS": str(folder / "accounts.json"),
        "STATUS_PAGE_PORT": str(port),
        "WORKER_RESULTS_DIR": str(folder / "results"),
        **settings,
    }
    command = [sys.executable, "-m", "scleroscan", "status-page"]
    with services.running(command, folder / "page.log", env=environ) as process:
        services.wait_until(lambda: services.port_answers(port), MANY_SECONDS, "the status page")
        yield port
        assert process.poll() is None
    assert process.returncode == 0


def log_in(connection: HTTPConnection, name: str, password: str) -> tuple[int, str]:
    """Send the form; return the status and the cookie."""
    connection.request("POST", "/login", urlencode({"name": name, "password": password}), HEADERS)
    answer = connection.getresponse()
    answer.read()
    return answer.status, (answer.headers["Set-Cookie"] or "").partition(";")[0]


def test_from_an_account_by_command_to_a_page_in_a_browser(
    tmp_path: Path, url: str, rows: sessionmaker[Session]
) -> None:
    own = {"STATUS_PAGE_ACCOUNTS": str(tmp_path / "accounts.json")}
    said = run("user", "add", "clara", "--role", "viewer", "--patients", **own)
    assert said.returncode == 0, said.stderr
    password = said.stdout.strip().rpartition(" ")[2]
    assert len(password) == 20
    with served(tmp_path, url) as port:
        connection = HTTPConnection("127.0.0.1", port, timeout=MANY_SECONDS)
        assert log_in(connection, "clara", "wrong password") == (403, "")
        status, cookie = log_in(connection, "clara", password)
        assert status == 303
        connection.request("GET", f"/exams/{uid(1)}", headers={"Cookie": cookie})
        text = connection.getresponse().read().decode()
        connection.request("GET", "/static/page.css")
        assert b"prefers-color-scheme" in connection.getresponse().read()
        connection.close()
    assert "P1</bdi>" in text
    log = (tmp_path / "page.log").read_text()
    assert "status page" in log
    for secret in (password, "wrong password", "P1", "PHANTOM", cookie.partition("=")[2]):
        assert secret not in log


def test_with_a_certificate_it_speaks_https_alone(tmp_path: Path, url: str) -> None:
    run("user", "add", "anna", "--role", "operator", STATUS_PAGE_ACCOUNTS=str(tmp_path / "accounts.json"))
    authority = trustme.CA()
    own = authority.issue_cert("localhost")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    tls = {"STATUS_PAGE_TLS_CERT": str(tmp_path / "cert.pem"), "STATUS_PAGE_TLS_KEY": str(tmp_path / "key.pem")}
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    with served(tmp_path, url, **tls) as port:
        connection = HTTPSConnection("localhost", port, timeout=MANY_SECONDS, context=context)
        connection.request("GET", "/login")
        answer = connection.getresponse()
        assert (answer.status, "Log in" in answer.read().decode()) == (200, True)
        assert answer.headers["Strict-Transport-Security"]
        connection.close()


def test_it_is_not_shown_to_a_network_in_the_clear(tmp_path: Path) -> None:
    said = scleroscan(tmp_path, "status-page", STATUS_PAGE_HOST="0.0.0.0")  # noqa: S104  what must be refused
    assert said.returncode == UNUSABLE_SETTINGS
    assert "STATUS_PAGE_TLS_CERT" in said.stderr
    line = only_line(scleroscan(tmp_path, "up", STATUS_PAGE_HOST="10.0.0.1"))
    assert "STATUS_PAGE_BEHIND_PROXY=true" in line


def test_accounts_are_added_listed_and_removed(tmp_path: Path) -> None:
    own = {"STATUS_PAGE_ACCOUNTS": str(tmp_path / "new" / "accounts.json")}
    assert "there is no account" in run("user", "list", **own).stdout
    assert run("user", "add", "anna", "--role", "operator", **own).returncode == 0
    assert run("user", "add", "bert", "--role", "viewer", "--patients", **own).returncode == 0
    assert run("user", "list", **own).stdout == "anna operator\nbert viewer patients\n"
    assert run("user", "remove", "anna", **own).returncode == 0
    assert run("user", "list", **own).stdout == "bert viewer patients\n"
    refused = run("user", "remove", "anna", **own)
    assert (refused.returncode, refused.stderr) == (1, "there is no account anna\n")
    for name in ("", "Anna", "a" * 33, "../anna", "operator:x"):
        assert run("user", "add", name, "--role", "viewer", **own).returncode == 1
    (tmp_path / "new" / "accounts.json").write_text("[1]")
    assert "is no file of accounts" in run("user", "list", **own).stderr
