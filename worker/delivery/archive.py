"""A destination as what it can be asked for, whichever protocol it speaks."""

from pathlib import Path
from typing import Protocol

from db.address import ApplicationEntity
from db.errors import BadAddress
from worker import destinations
from worker.delivery import dicom, dicom_file, proof, qido, stow, verdicts
from worker.delivery.association import Caller, said_of
from worker.delivery.proof import Finding, Search
from worker.delivery.report_receivers import FhirServer, Hl7Receiver
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

    def seek(self, search: Search) -> Finding:
        """Seek a proof that it has what was sent."""


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

    def seek(self, search: Search) -> Finding:
        """Ask for storage commitment, or by C-FIND."""
        return proof.seek(Caller(self._peer(), self._settings.ae_title), search)

    def _peer(self) -> ApplicationEntity:
        try:
            files = self._destination.tls_files(self._settings)
            return ApplicationEntity.parse_url(self._destination.url).called_with(files)
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

    def seek(self, search: Search) -> Finding:
        """Ask by QIDO-RS for each object: a DICOMweb service has no storage commitment."""
        return qido.held(self._session, search.files)


def of(destination: Destination, settings: WorkerSettings) -> Archive:
    """Return the archive, or receiver of reports, at a destination."""
    if destination.is_hl7:
        return Hl7Receiver(destination, settings.ae_title)
    if destination.is_fhir:
        return FhirServer(destination)
    return WebArchive(destination) if destination.is_web else DicomArchive(destination, settings)


class Archives:
    """The archives of a site by their addresses; a row may name one that is in the settings no longer."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._destinations = {one.url: one for one in destinations.of(settings)}
        self._archives: dict[str, Archive] = {}

    def described(self, url: str) -> Destination:
        """Return what is known of a destination. Raises PeerRefused for what is no archive's address."""
        try:
            return self._destinations.get(url) or Destination(url=url)
        except ValueError as error:
            raise PeerRefused(f"{url} is no archive's address", code="bad_destination") from error

    def at(self, url: str) -> Archive:
        """Return the archive, always the same one: it keeps its token. Raises as :meth:`described` does."""
        if url not in self._archives:
            self._archives[url] = of(self.described(url), self._settings)
        return self._archives[url]


def result_file(settings: WorkerSettings, recorded: str) -> Path:
    """Return the path of an object in the results folder; a row that names another place is not followed there.

    Rows of earlier versions may hold a path relative to the worker's folder.
    """
    path, root = Path(recorded), settings.results_dir.resolve()
    if not path.is_absolute() or not _lies_in(root, path):
        path = root / path.parent.name / path.name
    if not _lies_in(root, path):
        raise PeerRefused("the row names no file in the results folder: nothing was sent", code="output_damaged")
    return path


def _lies_in(root: Path, path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root)
    except RuntimeError:
        # Links that lead to each other lead nowhere: reading says so.
        return True
