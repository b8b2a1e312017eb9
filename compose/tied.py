"""Ties a process to the one that starts it: one that is killed leaves nothing behind."""

import os
import sys
from collections.abc import Sequence

# 1 is PR_SET_PDEATHSIG (prctl(2)); what is executed keeps it. A parent that was gone before is seen by its number.
_TIE = (
    "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGTERM); "
    "os.getppid() == int(sys.argv[1]) or sys.exit(); os.execv(sys.argv[2], sys.argv[2:])"
)


def tied(command: Sequence[str]) -> list[str]:
    """Return a command that is sent SIGTERM when this process, or the thread that starts it, ends.

    Linux alone offers that; elsewhere the command is as it was.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _TIE, str(os.getpid()), *command]
