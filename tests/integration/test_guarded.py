"""However a long trial ends, its servers end with it, and what it wrote is gone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support import REPOSITORY, services

# It has a server of its own session, another whose parent has ended, and a file.
TRIAL = """
import subprocess, sys, tempfile, time
from tests.support import guarded

def trial():
    subprocess.Popen(["sleep", "{nap}"], start_new_session=True)
    subprocess.run(["sh", "-c", "setsid sleep {nap} &"], check=True)
    tempfile.NamedTemporaryFile(prefix="under-way-", delete=False)
    {then}

sys.exit(guarded.run(trial))
"""
# As long as nobody else sleeps.
NAP = str(10_000 + os.getpid())
STUBBORN = """
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass
"""


def begun(folder: Path, then: str) -> subprocess.Popen[bytes]:
    environ = {"TMPDIR": str(folder), "PATH": "/usr/bin:/bin"}
    return subprocess.Popen([sys.executable, "-c", TRIAL.format(then=then, nap=NAP)], cwd=REPOSITORY, env=environ)


def sleepers() -> set[int]:
    return {one.pid for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", NAP]}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_trial_that_hears_no_signal_is_ended(tmp_path: Path, how: signal.Signals) -> None:
    trial = begun(tmp_path, STUBBORN)
    services.wait_until(lambda: any(tmp_path.glob("*/under-way-*")), 30, "work under way")
    services.wait_until(lambda: len(sleepers()) == 2, 10, "both servers")
    trial.send_signal(how)
    assert trial.wait(timeout=10) in (128 + how, -how)
    assert not sleepers()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("then", "status"), [("return 3", 3), ("assert False", 1), ("sys.exit(4)", 4)])
def test_a_trial_that_ends_by_itself_says_how(tmp_path: Path, then: str, status: int) -> None:
    assert begun(tmp_path, then).wait(timeout=30) == status
    assert not sleepers()
    assert not list(tmp_path.iterdir())
