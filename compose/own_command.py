"""How the command itself is typed where it runs, so that what is proposed can be copied."""

import shutil
import sys
from pathlib import Path

PLAIN = "scleroscan"


def name() -> str:
    """Return ``scleroscan`` where the search path finds this very command, else its path from the working folder."""
    running = Path(sys.argv[0])
    found = shutil.which(PLAIN)
    if running.name != PLAIN or not running.exists() or (found and running.samefile(found)):
        return PLAIN
    here = Path.cwd()
    absolute = running.absolute()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)
