"""A destination as what it can be asked for, whichever protocol it speaks."""

from pathlib import Path
from typing import Protocol

from db.address import ApplicationEntity
from db.errors import BadAddress
from worker.delivery import dicom, dicom_file, stow, verdicts
from worker.delivery.association import said_of
from worker.delivery.web_session import WebSession
from worker.destinations import Destination
from worker.errors import PeerRefused
from worker.settings import WorkerSettings

NOBODY = "2.25.0"


class Archive(Protocol):
    """Where results go. Every method raises PeerUnreachable for what may pass and PeerRefused for what is final."""

    def ask(self) -> None:
        """Ask whether it is there and knows us."""

    def store(self, path: Path) -> int:
        """Send an object and return the status with which it was taken."""


class DicomArchive:
    """An archive spoken to by DIMSE."""

    def __init__(self, destination: Destination, settings: WorkerSettings) -> None:
        self._destination, self._settings = destination, settings

    def ask(self) -> None:
        """Send C-ECHO."""
        dicom.echo(self._peer(), self._settings.ae_title)

    def store(self, path: Path) -> int:
        """Send by C-STORE."""
        (receipt,) = dicom.store([path], self._peer(), self._settings.ae_title)
        return receipt.status

    def _peer(self) -> ApplicationEntity:
        try:
            return ApplicationEntity.parse_url(self._destination.url).called_with(self._settings.tls_files)
        except BadAddress as error:
            raise PeerRefused(str(error), code="bad_destination") from error


class WebArchive:
    """An archive spoken to by DICOMweb."""

    def __init__(self, destination: Destination) -> None:
        self._session = WebSession(destination)

    def ask(self) -> None:
        """Ask QIDO-RS for a study that nobody has."""
        accept = {"Accept": "application/dicom+json"}
        answer = self._session.request("GET", f"/studies?StudyInstanceUID={NOBODY}&limit=1", accept)
        if answer.status >= 300:
            raise said_of(self._session.url, verdicts.of_http(answer.status))

    def store(self, path: Path) -> int:
        """Send by STOW-RS."""
        return stow.store(self._session, dicom_file.read(path))


def of(destination: Destination, settings: WorkerSettings) -> Archive:
    """Return the archive at a destination."""
    return WebArchive(destination) if destination.is_web else DicomArchive(destination, settings)
