"""Parts of a node as forks of one process that has loaded their modules: to load them takes longer than most tests.

``python -m tests.support.node_forks`` is that process. It holds no threads, which no fork survives. Whatever begins a
part by :func:`start` gets a fork within :func:`opened`, and elsewhere, as in benchmarks, a process that loads all anew.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from tests.support import REPOSITORY

PART = "tests.support.node_process"


class Nursery:
    """The process that forks, once it is needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = Lock()

    def ask(self, **question: Any) -> Any:
        """Ask for a part, or for how one ended, and return the answer."""
        with self._lock:
            if self._process is None:
                command = [sys.executable, "-m", "tests.support.node_forks"]
                pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
                self._process = subprocess.Popen(command, cwd=REPOSITORY, text=True, start_new_session=True, **pipes)
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            print(json.dumps(question), file=self._process.stdin, flush=True)
            return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End it; the parts go on."""
        if self._process is not None:
            self._process.communicate()


class Fork:
    """A part, with the methods of :class:`subprocess.Popen` that tests need."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery, self.pid, self.returncode = nursery, pid, None

    def poll(self) -> int | None:
        """Return the exit status, negative where a signal ended it; None while it runs."""
        if self.returncode is None:
            self.returncode = self._nursery.ask(ended=self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises TimeoutExpired."""
        begun = time.monotonic()
        while (status := self.poll()) is None:
            if timeout is not None and time.monotonic() - begun > timeout:
                raise subprocess.TimeoutExpired(PART, timeout)
            time.sleep(0.01)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, where it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


_open: list[Nursery] = []


@contextmanager
def opened() -> Iterator[None]:
    """Let parts be forks for the length of the block."""
    _open.append(Nursery())
    try:
        yield
    finally:
        _open.pop().close()


def start(words: list[str], log: Path, own_session: bool = False) -> "Fork | subprocess.Popen[bytes]":
    """Begin a part with the words of its command; it appends what it writes to a file."""
    if _open:
        place = {"log": str(log), "environ": dict(os.environ), "own_session": own_session}
        return Fork(_open[-1], _open[-1].ask(words=words, **place))
    with log.open("ab") as out:
        command = [sys.executable, "-m", PART, *words]
        return subprocess.Popen(command, stdout=out, stderr=out, cwd=REPOSITORY, start_new_session=own_session)


def _become(words: list[str], log: str, environ: dict[str, str], own_session: bool) -> None:
    """Make this fork what a new process would be."""
    if own_session:
        os.setsid()
    null, out = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for number, descriptor in enumerate((null, out, out)):
        os.dup2(descriptor, number)
    os.close(null)
    os.close(out)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    sys.argv[1:] = words


def _is_fork() -> bool:
    """Serve questions until they end, which is False; True in a fork that is to be a part."""
    for line in sys.stdin:
        asked = json.loads(line)
        if "words" in asked:
            answer: int | None = os.fork()
            if not answer:
                _become(**asked)
                return True
        else:
            pid, status = os.waitpid(asked["ended"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        print(json.dumps(answer), flush=True)
    return False


if __name__ == "__main__":
    from tests.support import node_process

    gc.freeze()
    if _is_fork():
        node_process.main()
