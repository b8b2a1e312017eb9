"""The processes of a site on one machine: started together, restarted when one dies, ended together.

They are forks of the process that starts them: what all of them load is loaded once and is in memory once.
"""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess

from compose.errors import PartUnusable
from compose.tied import tie
from dicom_node.stop import Stop

POLL_S = 0.2
SOON_S = 0.02
STEADY_S = 30.0
LONGEST_PAUSE_S = 30.0
# The exit status of a part whose settings cannot be used: started again, it would only say so again.
UNUSABLE_SETTINGS = os.EX_CONFIG
FORK = multiprocessing.get_context("fork")
ENDING = (signal.SIGINT, signal.SIGTERM)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ManagedProcess:
    """One process: its name and the words after ``scleroscan``."""

    name: str
    words: tuple[str, ...]


SITE = (
    ManagedProcess("listener", ("listen",)),
    ManagedProcess("scheduler", ("schedule",)),
    ManagedProcess("analyse", ("work", "--queue", "analyse")),
    ManagedProcess("deliver", ("work", "--queue", "deliver")),
)
# Beside the others where STOW-RS has a port.
WEB = ManagedProcess("web", ("web",))
MONITOR = ManagedProcess("monitor", ("monitor",))
STATUS_PAGE = ManagedProcess("status-page", ("status-page",))
PERFORMER = ManagedProcess("performer", ("perform",))


def of_site(
    has_web: bool, has_monitor: bool, has_status_page: bool = False, has_worklist: bool = False
) -> tuple[ManagedProcess, ...]:
    """Return the processes of a site with those that it may do without."""
    beside = ((WEB, has_web), (MONITOR, has_monitor), (STATUS_PAGE, has_status_page), (PERFORMER, has_worklist))
    return SITE + tuple(one for one, is_wanted in beside if is_wanted)


@dataclass
class _Child:
    process: BaseProcess
    started_at: float
    pause_s: float = 1.0
    restart_at: float | None = field(default=None)


class Supervisor:
    """Keeps the processes running. No other thread may run in this one when it starts them: none survives a fork.

    Parameters
    ----------
    managed
        What to run.
    command
        The command ``scleroscan``, which reads its words from ``sys.argv``.
    environ
        The environment of every process: all settings travel this way.
    grace_s
        How long a process may take to end after SIGTERM before it is killed.
    """

    def __init__(
        self,
        managed: tuple[ManagedProcess, ...],
        command: Callable[[], None],
        environ: Mapping[str, str],
        grace_s: float = 30.0,
    ) -> None:
        self._managed = {one.name: one for one in managed}
        self._command = command
        self._environ = dict(environ)
        self._grace_s = grace_s
        self._children: dict[str, _Child] = {}

    def run(self, stop: threading.Event) -> None:
        """Start the processes and keep them running until ``stop`` is set; then end them.

        Raises
        ------
        PartUnusable
            One of them cannot run with its settings; all have been ended.
        """
        try:
            for one in self._managed.values():
                self._children[one.name] = _Child(self._start(one), time.monotonic())
            while not stop.wait(POLL_S):
                self._look_after(time.monotonic())
        finally:
            self._end()

    def _start(self, one: ManagedProcess) -> BaseProcess:
        process = FORK.Process(target=_become, args=(one, self._command, self._environ, os.getpid()), name=one.name)
        # Held back until the fork has no handlers of this process any more: they would take the signal, and not end it.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        logger.info("process started", extra={"part": one.name, "pid": process.pid})
        return process

    def _look_after(self, now: float) -> None:
        for name, child in self._children.items():
            status = child.process.exitcode
            if status is None:
                continue
            if status == UNUSABLE_SETTINGS:
                raise PartUnusable(f"the part {name} cannot run with these settings: it says why above, or in its log")
            if child.restart_at is None:
                # One that ran steadily starts anew at once; one that keeps dying waits longer each time.
                steady = now - child.started_at > STEADY_S
                child.pause_s = 1.0 if steady else min(child.pause_s * 2, LONGEST_PAUSE_S)
                child.restart_at = now + child.pause_s
                facts = {"part": name, "status": status, "pause_s": child.pause_s}
                logger.error("process ended", extra=facts)
            elif now >= child.restart_at:
                child.process, child.started_at, child.restart_at = self._start(self._managed[name]), now, None

    def _end(self) -> None:
        for child in self._children.values():
            child.process.terminate()
        deadline = time.monotonic() + self._grace_s
        for name, child in self._children.items():
            # To join it would be to wait for what it forked itself as well.
            while child.process.exitcode is None and time.monotonic() < deadline:
                time.sleep(SOON_S)
            if child.process.exitcode is None and child.process.pid:
                logger.warning("process killed after its grace time", extra={"part": name})
                os.killpg(child.process.pid, signal.SIGKILL)
                child.process.join()


def _become(one: ManagedProcess, command: Callable[[], None], environ: Mapping[str, str], parent: int) -> None:
    """Make of this fork what a new process would be, and run the command in it."""
    # A session of its own: a signal from the terminal reaches the supervisor alone, which ends them in order.
    os.setsid()
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    tie(one.name, parent)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv[1:] = one.words
    try:
        command()
    except Exception:  # noqa: BLE001  else multiprocessing prints a trace as it is, with what identifies a patient
        sys.excepthook(*sys.exc_info())
        sys.exit(1)


def stop_on_signal() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set."""
    return Stop.on(*ENDING)
