"""Whatever the main thread does when a signal comes, the event is set and its waits end."""

import subprocess
import sys
import threading
import time

import pytest

from dicom_node.stop import Stop
from tests.support import REPOSITORY

# Amid a wait nearly always. With the event of threading two of three hang.
SIGNALLED = """
import os, signal, time
from dicom_node.stop import Stop
for _ in range(20):
    child = os.fork()
    if not child:
        stop = Stop()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        while not stop.wait(0):
            pass
        os._exit(0)
    time.sleep(0.02)
    os.kill(child, signal.SIGTERM)
    for _ in range(500):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.01)
    else:
        os.kill(child, signal.SIGKILL)
        raise SystemExit("it hangs")
    # One that got it before it had a handler ended by it.
    assert status in (0, signal.SIGTERM)
"""


def test_a_signal_amid_a_wait_ends_it() -> None:
    subprocess.run([sys.executable, "-c", SIGNALLED], cwd=REPOSITORY, check=True, timeout=60)


def test_every_wait_ends() -> None:
    stop, ended = Stop(), []
    waiting = [threading.Thread(target=lambda: ended.append(stop.wait(10))) for _ in range(3)]
    for one in waiting:
        one.start()
    time.sleep(0.05)
    stop.set()
    for one in waiting:
        one.join(5)
    assert ended == [True] * 3
    assert stop.is_set()
    assert stop.wait()


def test_a_wait_that_nobody_ends_is_over_in_time() -> None:
    stop, begun = Stop(), time.monotonic()
    assert not stop.wait(0.05)
    assert 0.04 < time.monotonic() - begun < 5
    assert not stop.is_set()


def test_who_was_asked_to_end_ends() -> None:
    with pytest.raises(NotImplementedError):
        Stop().clear()
