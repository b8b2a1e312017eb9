"""What keeps files from the object store, noted by the scheduler in the spool for monitor and doctor."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class Trouble:
    """Since when there is trouble, the code and sentence of the first fault, and how many series or jobs wait."""

    since: str
    code: str
    said: str
    waiting: int


class StoreTrouble:
    """One small file of the spool; there is none while all is well."""

    def __init__(self, spool: Path) -> None:
        self._path = spool / "store-trouble.json"

    def note(self, code: str, said: str, waiting: int, now: datetime) -> None:
        """Note trouble; of one that lasts the beginning stays."""
        before = self.read()
        trouble = Trouble(before.since if before else now.isoformat(), code, said, waiting)
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(asdict(trouble)))
        part.replace(self._path)

    def clear(self) -> None:
        """Note that there is none."""
        self._path.unlink(missing_ok=True)

    def read(self) -> Trouble | None:
        """Return the trouble; None where there is none."""
        try:
            return Trouble(**json.loads(self._path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
