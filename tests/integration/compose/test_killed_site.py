"""A site that is killed leaves no process behind; one that is asked to stop early stops in order."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support import REPOSITORY, services


def test_what_a_killed_site_ran_ends_with_it(tmp_path: Path) -> None:
    port = services.free_port()
    environ = os.environ | {
        "DICOM_NODE_SPOOL_DIR": str(tmp_path / "spool"),
        "DICOM_NODE_PORT": str(port),
        "DICOM_NODE_HOST": "127.0.0.1",
        "PYTHONPATH": str(REPOSITORY),
    }
    command = [sys.executable, "-m", "tests.support.supervised", "listener"]
    with services.running(command, tmp_path / "site.log", env=environ) as site:
        services.wait_until(lambda: services.port_answers(port), what="the listener")
        left = psutil.Process(site.pid).children(recursive=True)
        assert any("broker.sock" in word for one in left for word in one.cmdline())
        site.kill()
        site.wait()
        try:
            with suppress(pytest.fail.Exception):
                services.wait_until(lambda: not any(map(alive, left)))
            stayed = [(one.name(), one.status()) for one in left if alive(one)]
            assert not stayed, (tmp_path / "site.log").read_text()
        finally:
            for one in filter(alive, left):
                one.kill()


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
