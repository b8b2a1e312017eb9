"""The parts of a site as processes: which end it, and which are started again."""

import os
import socket
import sys
import threading
from pathlib import Path

import psutil
import pytest

from compose.errors import PartUnusable
from compose.processes import SITE, WEB, Supervisor
from dicom_node.site_file import EVERYWHERE, LOOPBACK
from tests.integration.compose.test_command import only_line, scleroscan
from tests.support import REPOSITORY, services


def environ(folder: Path, **settings: str) -> dict[str, str]:
    own = {"DICOM_NODE_SPOOL_DIR": str(folder / "spool"), "DICOM_NODE_HOST": "127.0.0.1", "PYTHONPATH": str(REPOSITORY)}
    return os.environ | own | settings


def children(word: str) -> set[int]:
    """Process ids of the parts that were started here with a word."""
    found = psutil.Process().children()
    return {child.pid for child in found if child.status() != psutil.STATUS_ZOMBIE and word in child.cmdline()}


def test_a_part_that_dies_for_its_settings_ends_the_site(tmp_path: Path) -> None:
    log = tmp_path / "site.log"
    only_client_ca = environ(tmp_path, DICOM_NODE_TLS_CLIENT_CA=str(tmp_path / "ca.pem"), DICOM_NODE_WEB_PORT="8080")
    with pytest.raises(PartUnusable, match="web"):
        Supervisor((WEB,), only_client_ca, log=log).run(threading.Event())
    assert log.read_text().count("all three") == 1
    assert children("web") == set()


def test_a_part_that_is_killed_is_started_again(tmp_path: Path) -> None:
    port, stop = services.free_port(), threading.Event()
    supervisor = Supervisor(SITE[:1], environ(tmp_path, DICOM_NODE_PORT=str(port)), log=tmp_path / "site.log")
    runner = threading.Thread(target=supervisor.run, args=(stop,))
    runner.start()
    try:
        services.wait_until(lambda: services.port_answers(port), what="the listener")
        (first,) = children("listen")
        psutil.Process(first).kill()
        services.wait_until(lambda: bool(children("listen") - {first}), what="another listener")
        services.wait_until(lambda: services.port_answers(port), what="the port of the other listener")
    finally:
        stop.set()
        runner.join()
    assert children("listen") == set()


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
