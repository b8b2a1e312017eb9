"""Processes forked from one that does nothing else: restarted when one dies, ended together, gone when it is gone."""

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Collection, Mapping
from multiprocessing.process import BaseProcess
from threading import Event, Thread

POLL_S = 0.1
# One that keeps dying is not started more often.
RESTART_EVERY_S = 1.0
GRACE_S = 10.0
logger = logging.getLogger(__name__)
FORK = multiprocessing.get_context("fork")
Work = Callable[[Event], None]


def run(works: Mapping[str, Work], stop: Event) -> None:
    """Run each work in a process of its own until ``stop`` is set.

    A work gets an event that is set when it should end. It is forked from this process as it is now: what it needs is
    made before, and threads or connections to a database only by the work itself.
    """
    children = {name: _start(name, work) for name, work in works.items()}
    started_at = dict.fromkeys(works, time.monotonic())
    try:
        while not stop.wait(POLL_S):
            for name, work in works.items():
                if not children[name].is_alive() and time.monotonic() - started_at[name] > RESTART_EVERY_S:
                    logger.error("process ended", extra={"part": name, "status": children[name].exitcode})
                    children[name], started_at[name] = _start(name, work), time.monotonic()
    finally:
        _end(children.values())


def _start(name: str, work: Work) -> BaseProcess:
    child = FORK.Process(target=_work, args=(work,), name=name)
    # Until the child has a handler of its own, its parent's would swallow the signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        child.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    return child


def _work(work: Work) -> None:
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    # A key pressed at the terminal reaches every process; the one that forked ends them in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    work(stop)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    # At once: whatever is half done, a crash must not hurt it anyway, and the port is wanted by who comes next.
    os._exit(1)


def _end(children: Collection[BaseProcess]) -> None:
    for child in children:
        child.terminate()
    deadline = time.monotonic() + GRACE_S
    for child in children:
        child.join(max(deadline - time.monotonic(), 0.1))
        if child.is_alive():
            logger.warning("process killed after its grace time", extra={"part": child.name})
            child.kill()
            child.join()
