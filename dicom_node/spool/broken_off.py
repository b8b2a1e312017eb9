"""Series whose last association broke off, known to every process and to those that come after it: a small file each.

A file holds a token of its own, so that an association that sends the series again, and ends by release, takes away
only what was there when it began: of two senders at once, the one that ends well cannot speak for the other.
"""

from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from dicom_node.spool.folder import sync_folder
from dicom_node.spool.image import UID_GRAMMAR

FOLDER = "broken-off"


class BrokenOff:
    """The files.

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
        """Return every series noted."""
        if not self._folder.is_dir():
            return []
        return [path.name for path in self._folder.iterdir() if UID_GRAMMAR.fullmatch(path.name)]

    def token(self, series_uid: str) -> str | None:
        """Return what tells the last break from earlier ones; None where none is noted."""
        try:
            return (self._folder / series_uid).read_text()
        except FileNotFoundError:
            return None

    def mend_all(self, series_uids: Iterable[str]) -> None:
        """Take back the breaks of series that came whole by another way than an association."""
        for series_uid in set(series_uids):
            self.mend(series_uid, self.token(series_uid))

    def mend(self, series_uid: str, token: str | None) -> None:
        """Take a break back, unless there was another since."""
        if token is not None and self.token(series_uid) == token:
            (self._folder / series_uid).unlink(missing_ok=True)
            sync_folder(self._folder)
