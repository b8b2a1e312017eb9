"""Ties a process to the one that starts it: one that is killed leaves nothing behind."""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

# Of prctl(2). What is executed keeps the first. A parent that was gone before is seen by its number.
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
_TIE = (
    f"import ctypes, os, signal, sys; ctypes.CDLL(None).prctl({PR_SET_PDEATHSIG}, signal.SIGTERM); "
    "os.getppid() == int(sys.argv[1]) or sys.exit(); os.execv(sys.argv[2], sys.argv[2:])"
)


def tied(command: Sequence[str]) -> list[str]:
    """Return a command that is sent SIGTERM when this process, or the thread that starts it, ends.

    Linux alone offers that; elsewhere the command is as it was.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _TIE, str(os.getpid()), *command]


def tie(name: str, parent: int) -> None:
    """Have this process, a fork, sent SIGTERM when its parent ends, and be called by a name in ``top`` and ``ps -e``.

    Linux alone offers that.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    libc.prctl(PR_SET_NAME, name.encode())
    if os.getppid() != parent:
        sys.exit()
