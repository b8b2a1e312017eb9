"""The doctor's check of which parts of the site run on this machine."""

import os
from pathlib import Path

from sqlalchemy import make_url

from compose.check import Check
from compose.processes import ManagedProcess, of_site
from compose.settings import SiteSettings

PROCESSES = Path("/proc")
NAME = "scleroscan"


def parts(site: SiteSettings) -> Check:
    """Say which parts run here and which do not; with a shared database a part may run on another machine."""
    running = _running()
    wanted = of_site(bool(site.node.web_port), bool(site.monitor.port), site.has_status_page, site.has_worklist)
    alive = [part.name for part in wanted if any(_is_part(part, *one) for one in running)]
    missing = [part.name for part in wanted if part.name not in alive]
    found = f"running here: {', '.join(alive) or 'none'}"
    if not missing:
        return Check("parts", True, found)
    found = f"{found}; not running here: {', '.join(missing)}"
    is_shared = make_url(site.db_url).get_backend_name() != "sqlite"
    mend = "see that they run on another machine" if is_shared and alive else "start them: scleroscan up"
    return Check("parts", is_shared and bool(alive), found, mend)


def _is_part(part: ManagedProcess, name: str, words: tuple[str, ...]) -> bool:
    """Whether a process is a part: by its name where ``scleroscan up`` forked it, else by its words."""
    return words[: len(part.words)] == part.words or (words[:1] == ("up",) and name == part.name)


def _running() -> list[tuple[str, tuple[str, ...]]]:
    """Return the name of each process of this site, and the words after ``scleroscan``."""
    found = []
    for folder in PROCESSES.glob("[0-9]*"):
        try:
            if _site_of(folder) == _own_site():
                found.append(((folder / "comm").read_text().strip(), _words(folder)))
        except OSError:
            # It has ended meanwhile, or is another user's.
            continue
    return found


def _words(folder: Path) -> tuple[str, ...]:
    words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
    named = [number for number, word in enumerate(words[:3]) if Path(word).name == NAME]
    return tuple(words[named[0] + 1 :]) if named else ()


def _site_of(folder: Path) -> str:
    """Return what tells sites apart: their database, or where none is named the folder in which it then lies."""
    for setting in (folder / "environ").read_bytes().split(b"\0"):
        name, _, value = setting.partition(b"=")
        if name.upper() == b"DB_URL":
            return value.decode(errors="replace")
    return str((folder / "cwd").readlink())


def _own_site() -> str:
    return os.environ.get("DB_URL") or str(Path.cwd())
