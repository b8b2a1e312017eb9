"""A long trial in a process of its own: however it ends, its servers end with it, and what it wrote is gone.

The trial is not told: an exception out of a signal may land anywhere, amid a query as well, and be lost there.
"""

import ctypes
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import psutil

# Of prctl(2). Whose parent has ended becomes this process's child, and so is found.
PR_SET_CHILD_SUBREAPER = 36


def run(trial: Callable[[], int]) -> int:
    """Run a trial whose temporary files lie in one folder, and return its exit status; SIGTERM and Ctrl-C end it."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    with tempfile.TemporaryDirectory(prefix="scleroscan-trial-") as home:
        # The account of Postgres has to walk through it.
        Path(home).chmod(0o755)
        process = get_context("fork").Process(target=_run, args=(trial, home))
        process.start()
        try:
            signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
            process.join()
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            _end_all()
        assert process.exitcode is not None
        return process.exitcode


def _run(trial: Callable[[], int], home: str) -> None:
    os.environ["TMPDIR"] = tempfile.tempdir = home
    sys.exit(trial())


def _end_all() -> None:
    while below := psutil.Process().children(recursive=True):
        for process in below:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        # Not for ever: a grandchild can be waited for only once it has become a child.
        psutil.wait_procs(below, timeout=1)
