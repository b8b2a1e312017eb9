"""What troubles a site now: parts that do not work, objects that rest unsent, a disk that is nearly full."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from compose.folders import existing
from compose.monitor.watch import Watch
from compose.settings import SiteSettings
from db import delivery_list

GIGABYTE = 1e9
DEAD_LETTERS = "dead letters"
SEE_DOCTOR = "scleroscan doctor says how to mend it"


@dataclass(frozen=True)
class Trouble:
    """One trouble: a name that stays while it lasts, what was found, and what to do. No word names a patient."""

    name: str
    found: str
    mend: str


class Troubles:
    """Looks at a site by its watch."""

    def __init__(self, site: SiteSettings, watch: Watch) -> None:
        self._watch = watch
        self._low_gb = site.monitor.low_disk_gb
        self._folders = {"spool": site.node.spool_dir, "results": site.worker.results_dir}
        self._dead_letters: tuple[Trouble, ...] = ()

    def now(self) -> list[Trouble]:
        """Return every trouble. With the database away the dead letters are those of before."""
        return [*self._parts(), *self._nearly_full(), *self._unsent()]

    def _parts(self) -> Iterator[Trouble]:
        for check in self._watch.checks:
            if not check.ok:
                yield Trouble(check.name, check.found, SEE_DOCTOR)
        if not self._watch.is_alive:
            yield Trouble("monitor", "does not look any more", "start the monitor again")

    def _nearly_full(self) -> Iterator[Trouble]:
        for name, folder in self._folders.items():
            free_gb = shutil.disk_usage(existing(folder)).free / GIGABYTE
            if free_gb < self._low_gb:
                found = f"{free_gb:.1f} GB are free, fewer than {self._low_gb:g}"
                yield Trouble(f"disk of the {name}", found, "free space, or give it more disk")

    def _unsent(self) -> tuple[Trouble, ...]:
        try:
            with self._watch.sessions.begin() as session:
                count = delivery_list.dead_letters(session)
        except SQLAlchemyError:
            return self._dead_letters
        mend = "scleroscan status --dead-letters names them and why; mend that, then scleroscan retry JOB"
        self._dead_letters = (Trouble(DEAD_LETTERS, f"{count} object(s) rest unsent", mend),) if count else ()
        return self._dead_letters
