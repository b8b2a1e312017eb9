"""A process that reads series as a worker does, one after another: ``python -m tests.fuzz.reader``.

Each line of standard input is a list of paths; each line of its answers says what came of it, in how many seconds.
"""

import faulthandler
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compose import logs
from tests.fuzz.node import peak_mb
from tests.support import REPOSITORY
from worker.errors import InputRejected
from worker.reading import series

# A series that takes longer holds others up; its reader ends with a trace.
LONGEST_READ_S = 60


@dataclass(frozen=True)
class Read:
    """What came of a series: the code of its refusal, or the digest of its values; how long it took."""

    outcome: str
    seconds: float


class Reader:
    """The process, and another one when it stopped.

    Attributes
    ----------
    memory_mb
        The most memory that any of them was seen to have held.
    """

    def __init__(self, log: Path, stack: ExitStack) -> None:
        self._out = stack.enter_context(log.open("ab"))
        self._process = self._started()
        stack.callback(self._end)
        self.memory_mb, self.stopped = 0.0, 0

    def _started(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.fuzz.reader"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._out}
        return subprocess.Popen(command, cwd=REPOSITORY, **pipes)

    def _end(self) -> None:
        self._process.communicate(timeout=60)

    def read(self, paths: Sequence[Path]) -> Read:
        """Return what comes of a series; where the process stops, count it and go on with another."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(path) for path in paths]).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        self.memory_mb = max(self.memory_mb, peak_mb(self._process.pid))
        if answer:
            return Read(**json.loads(answer))
        self.stopped += 1
        self._end()
        self._process = self._started()
        return Read("stopped", 0.0)


def digest(values: NDArray[np.int16]) -> str:
    """Return the digest by which a volume is known again."""
    return hashlib.sha256(values.tobytes()).hexdigest()


def outcome(paths: Sequence[Path]) -> str:
    """Read a series as a worker does; return the digest of its values or the code of its refusal."""
    try:
        return digest(series.read(paths).volume.hu)
    except InputRejected as error:
        return error.code


def main() -> None:
    """Read what standard input names."""
    logs.configure(logs.LogFormat.json)
    for line in sys.stdin:
        begun = time.monotonic()
        faulthandler.dump_traceback_later(LONGEST_READ_S, exit=True)
        found = outcome([Path(name) for name in json.loads(line)])
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps({"outcome": found, "seconds": time.monotonic() - begun}), flush=True)


if __name__ == "__main__":
    main()
