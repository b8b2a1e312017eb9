"""Counts the images that were refused, by code, over all processes that receive and over restarts.

Who receives has no database. So each code has a file, and each refusal is one byte at its end: appending a byte needs
no lock, and the length is the count.
"""

import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)


class Refusals:
    """The counts below one folder; made at the first refusal."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, code: str) -> None:
        """Count one refusal; a full disk, the reason of many, only costs its count."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            file = os.open(self._folder / code, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(file, b"\n")
            finally:
                os.close(file)
        except OSError as error:
            logger.warning("a refusal could not be counted", extra={"code": code, "reason": error.strerror})

    def counted(self) -> dict[str, int]:
        """Return the number of refusals by code."""
        if not self._folder.is_dir():
            return {}
        return {path.name: path.stat().st_size for path in sorted(self._folder.iterdir())}
