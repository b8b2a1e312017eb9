"""The parts of a site as processes: which end it, and which are started again."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from dicom_node.site_file import EVERYWHERE, LOOPBACK
from tests.integration.compose.test_command import only_line, scleroscan
from tests.support import REPOSITORY, services


def environ(folder: Path, **settings: str) -> dict[str, str]:
    own = {"DICOM_NODE_SPOOL_DIR": str(folder / "spool"), "DICOM_NODE_HOST": "127.0.0.1", "PYTHONPATH": str(REPOSITORY)}
    return os.environ | own | settings


def parts(site: subprocess.Popen[bytes]) -> dict[str, psutil.Process]:
    """The parts of a site, by the names that ``top`` shows."""
    return {Path(f"/proc/{one.pid}/comm").read_text().strip(): one for one in psutil.Process(site.pid).children()}


def left(folder: Path) -> list[str]:
    """The names of all processes of the site of a folder that still run."""
    found = psutil.process_iter(["name", "environ", "status"])
    running = [one.info for one in found if one.info["status"] != psutil.STATUS_ZOMBIE]
    spool = str(folder / "spool")
    return [one["name"] for one in running if (one["environ"] or {}).get("DICOM_NODE_SPOOL_DIR") == spool]


@contextmanager
def supervised(folder: Path, *names: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Some parts of a site."""
    command = [sys.executable, "-m", "tests.support.supervised", *names]
    with services.running(command, folder / "site.log", env=environ(folder, **settings)) as site:
        yield site


def test_a_part_that_dies_for_its_settings_ends_the_site(tmp_path: Path) -> None:
    only_client_ca = {"DICOM_NODE_TLS_CLIENT_CA": str(tmp_path / "ca.pem"), "DICOM_NODE_WEB_PORT": "8080"}
    with supervised(tmp_path, "web", **only_client_ca) as site:
        assert site.wait(timeout=30) == 1
    said = (tmp_path / "site.log").read_text()
    assert said.count("all three") == 1
    assert "the part web cannot run" in said
    assert left(tmp_path) == []


def test_a_part_that_is_killed_is_started_again(tmp_path: Path) -> None:
    port = services.free_port()
    with supervised(tmp_path, "listener", DICOM_NODE_PORT=str(port)) as site:
        services.wait_until(lambda: services.port_answers(port), what="the listener")
        first = parts(site)["listener"]
        first.kill()
        services.wait_until(lambda: parts(site).get("listener", first) != first, what="another listener")
        services.wait_until(lambda: services.port_answers(port), what="the port of the other listener")
        others = psutil.Process(site.pid).children(recursive=True)
        assert "listener" in left(tmp_path)
    assert not any(one.is_running() for one in others)
    assert left(tmp_path) == []


def test_a_site_that_is_ended_at_once_ends_at_once(tmp_path: Path) -> None:
    """A part that is forked a moment before hears the signal as well."""
    for _ in range(5):
        with supervised(tmp_path, "listener", "scheduler", DICOM_NODE_PORT=str(services.free_port())) as site:
            services.wait_until(lambda: "listener" in parts(site), what="the first part")
            begun = time.monotonic()
            site.terminate()
            assert site.wait(timeout=60) == 0
            assert time.monotonic() - begun < 20


FAILING = """
import os
from compose import logs, processes
logs.configure(logs.LogFormat.console)
def command():
    raise ValueError("not foreseen")
processes.Supervisor(processes.SITE[:1], command, os.environ).run(processes.stop_on_signal())
"""


def test_the_end_of_a_part_is_a_line_of_the_log(tmp_path: Path) -> None:
    """A trace as Python prints it repeats what a library says of headers."""
    log = tmp_path / "site.log"
    with services.running([sys.executable, "-c", FAILING], log, env=environ(tmp_path)):
        services.wait_until(lambda: "process ended" in log.read_text(), what="the end of the part")
    assert "CRITICAL ended by an error" in log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("words", "host"), [((), LOOPBACK), (("--open",), EVERYWHERE)], ids=["by default", "told to be open"]
)
def test_the_listener_is_on_loopback_unless_told(tmp_path: Path, words: tuple[str, ...], host: str) -> None:
    port, log = services.free_port(), tmp_path / "listener.log"
    own = environ(tmp_path, DICOM_NODE_PORT=str(port))
    own.pop("DICOM_NODE_HOST")
    command = [sys.executable, "-m", "scleroscan", "listen", *words]
    with services.running(command, log, env=own) as process:
        services.wait_until(lambda: services.port_answers(port), what="the listener")
        bound = {one.laddr.ip for one in psutil.Process(process.pid).net_connections() if one.status == "LISTEN"}
    assert bound == {host}
    assert ("OPEN" in log.read_text()) is bool(words)


@pytest.mark.parametrize("part", ["web", "listen"])
def test_a_part_says_by_its_status_that_settings_are_wrong(tmp_path: Path, part: str) -> None:
    said = scleroscan(tmp_path, part, DICOM_NODE_TLS_CLIENT_CA=str(tmp_path / "ca.pem"), DICOM_NODE_WEB_PORT="8080")
    assert (said.returncode, len(said.stderr.splitlines())) == (os.EX_CONFIG, 1)
    assert "all three" in said.stderr


def test_up_says_in_one_line_that_its_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = only_line(scleroscan(tmp_path, "up", DICOM_NODE_PORT=str(port)))
    assert f"DICOM_NODE_PORT={port}" in line


def test_up_says_in_one_line_that_its_address_is_no_own_one(tmp_path: Path) -> None:
    line = only_line(scleroscan(tmp_path, "up", DICOM_NODE_HOST="192.0.2.1"))
    assert "DICOM_NODE_HOST=192.0.2.1" in line


@pytest.mark.parametrize("name", ["DICOM_NODE_SPOOL_DIR", "WORKER_RESULTS_DIR"])
def test_up_says_in_one_line_that_a_folder_cannot_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    line = only_line(scleroscan(tmp_path, "up", **{name: str(tmp_path / "file" / "folder")}))
    assert line.startswith(f"{name}={tmp_path / 'file' / 'folder'}")
