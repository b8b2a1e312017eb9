"""A long trial that is asked to end leaves none of its servers, and none of its files, behind."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import REPOSITORY, servers, services


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the account of Postgres can walk through."""
    with tempfile.TemporaryDirectory(prefix="scleroscan-ended-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("trial", ["tests.chaos", "tests.chaos_delivery"])
def test_a_trial_ended_by_sigterm_leaves_no_server(trial: str, folder: Path) -> None:
    environ = os.environ | {"TMPDIR": str(folder)}
    command = [sys.executable, "-m", trial]
    with services.running(command, folder / "trial.log", env=environ, cwd=REPOSITORY) as one:
        ran = psutil.Process(one.pid)

        def is_under_way() -> bool:
            assert one.poll() is None, (folder / "trial.log").read_text()
            return any(folder.glob("*/*/series-*")) or any(folder.glob("*/*/results/*"))

        services.wait_until(is_under_way, 120, "work under way")
        left = ran.children(recursive=True)
        assert {"postgres", "redis-server"} <= {process.name() for process in left}
        one.terminate()
        assert one.wait(timeout=90) == 143, (folder / "trial.log").read_text()
    try:
        services.wait_until(lambda: not any(map(alive, left)), 10, "the end of all servers")
    finally:
        for process in filter(alive, left):
            process.kill()
    assert list(folder.iterdir()) == [folder / "trial.log"]


def test_a_server_that_was_killed_already_may_be_killed_again(folder: Path) -> None:
    """A trial may be asked to end after it has killed a part, and before it starts the next."""
    server = servers.Server(["sleep", "60"], folder / "log", lambda: True)
    server.start()
    server.kill()
    server.kill()
    assert not server.is_running()
