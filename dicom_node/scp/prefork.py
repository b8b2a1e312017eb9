"""A parent process that only forks children: it restarts one that dies, ends all in order, and they end if it dies."""

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Collection, Mapping
from multiprocessing.process import BaseProcess
from threading import Event, Thread

from dicom_node.stop import Stop

POLL_S = 0.1
# A child that dies again and again is restarted at most this often.
RESTART_EVERY_S = 1.0
GRACE_S = 10.0
logger = logging.getLogger(__name__)
FORK = multiprocessing.get_context("fork")
Work = Callable[[Event], None]


def run(works: Mapping[str, Work], stop: Event) -> None:
    """Run each work in a process of its own until ``stop`` is set.

    A work gets an event that is set when it should end. The child is a fork of this process: what all children share
    is made before this call; threads and database connections do not survive a fork, so the work opens its own.
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
    # SIGTERM stays blocked until the child has its own handler; the handler inherited from the parent would lose it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        child.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    return child


def _work(work: Work) -> None:
    stop = Stop.on(signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    # Ctrl-C at a terminal reaches every process of the group; only the parent acts on it, and ends the children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    work(stop)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    # Without any clean-up: unfinished work has to survive a crash anyway, and the next listener needs the port.
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
