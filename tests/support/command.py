"""Runs the command in this process, because each start of Python loads its libraries anew."""

import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

from compose import command_line


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit status."""

    returncode: int
    stdout: str
    stderr: str


def run(*words: str, **environ: str) -> Said:
    """Run ``scleroscan`` with these words and environment variables, in a terminal of 80 columns as every pipe has."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    mask = os.umask(0)
    try:
        with _world(words, environ), redirect_stdout(out), redirect_stderr(err):
            command_line.main()
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        os.umask(mask)
        time.tzset()
    return Said(status, out.getvalue(), err.getvalue())


@contextmanager
def _world(words: tuple[str, ...], environ: dict[str, str]) -> Iterator[None]:
    with patch.dict(os.environ, {"COLUMNS": "80"} | environ), patch.object(sys, "argv", ["scleroscan", *words]):
        time.tzset()
        yield
