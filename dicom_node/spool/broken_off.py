"""Series whose last association broke off: one small file for each, seen by every process and after a restart.

Each break writes a new token into the file. An association that sends the series again, and ends by release, removes
the file only if the token is still the one from its own beginning: where two senders work at once, the release of one
does not remove the break of the other.
"""

from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from dicom_node.spool.folder import sync_folder
from dicom_node.spool.image import UID_GRAMMAR

FOLDER = "broken-off"


class BrokenOff:
    """Writes, reads and removes these files.

    Parameters
    ----------
    associations
        The folder of the associations; these files lie below it.
    """

    def __init__(self, associations: Path) -> None:
        self._folder = associations / FOLDER

    def note(self, series_uid: str) -> None:
        """Note that an association that carried the series broke off."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        token = uuid4().hex
        part = self._folder / token
        part.write_text(token)
        part.rename(self._folder / series_uid)
        sync_folder(self._folder)

    def noted(self) -> list[str]:
        """Return the UID of every series that is noted as broken off."""
        if not self._folder.is_dir():
            return []
        return [path.name for path in self._folder.iterdir() if UID_GRAMMAR.fullmatch(path.name)]

    def token(self, series_uid: str) -> str | None:
        """Return the token of the last break of a series; None where none is noted."""
        try:
            return (self._folder / series_uid).read_text()
        except FileNotFoundError:
            return None

    def mend_all(self, series_uids: Iterable[str]) -> None:
        """Remove the breaks of series that came whole by STOW-RS or a pull, or whose images have left the spool."""
        for series_uid in set(series_uids):
            self.mend(series_uid, self.token(series_uid))

    def mend(self, series_uid: str, token: str | None) -> None:
        """Remove a break, unless the association of the series broke off again since ``token`` was read."""
        if token is not None and self.token(series_uid) == token:
            (self._folder / series_uid).unlink(missing_ok=True)
            sync_folder(self._folder)
