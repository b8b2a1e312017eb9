"""Wires the performer of a worklist: what the worker knows of it, and the node's way to fetch images."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import Final

from compose.errors import UnusableSetting
from compose.settings import SiteSettings
from db.address import ApplicationEntity
from db.engine import open_database
from db.errors import BadAddress
from dicom_node.errors import NodeError, ReceiveError
from dicom_node.retrieve import pull
from dicom_node.retrieve.request import RetrieveRequest
from dicom_node.settings import NodeSettings
from worker import destinations
from worker.app import process_name
from worker.delivery import web_login
from worker.errors import PeerUnreachable
from worker.worklist.performer import Performer

NOT_FETCHED: Final = "images_not_fetched"


@dataclass(frozen=True)
class SourceOfSite:
    """The archive that DICOM_NODE_SOURCE names."""

    node: NodeSettings
    url: str

    def is_named(self, places: Sequence[str]) -> bool:
        """Whether its AE title, or a URL below its own, is among the places."""
        try:
            return ApplicationEntity.parse_url(self.url).ae_title in places
        except BadAddress:
            base = f"{self.url.rstrip('/')}/"
            return any(f"{place}/".startswith(base) for place in places)

    def fetch(self, study_uid: str, series_uid: str) -> None:
        """Fetch a series into the spool, as ``scleroscan pull`` does. Raises PeerUnreachable where that fails."""
        try:
            pull.run(self.node, RetrieveRequest(study_uid, series_uid), self.url)
        except (NodeError, ReceiveError) as error:
            raise PeerUnreachable(f"images are not fetched: {error}", code=NOT_FETCHED) from error


def run(site: SiteSettings, stop: Event) -> None:
    """Perform until ``stop`` is set. Raises UnusableSetting where there is no worklist."""
    worklist = destinations.worklist(site.worker)
    if worklist is None:
        raise UnusableSetting("the site file has no [worklist]")
    source = SourceOfSite(site.node, site.node.source) if site.node.source else None
    sessions = open_database(site.db_url)
    Performer(worklist, site.worker, sessions, source, process_name("performer")).run(stop)


def require_usable(site: SiteSettings) -> None:
    """Check what a site with a worklist needs.

    Raises
    ------
    UnusableSetting
        No archive gets the results: no item could say where they lie.
    PeerUnreachable
        A file of the login cannot be used.
    """
    worklist = destinations.worklist(site.worker)
    if worklist is not None:
        web_login.require_readable(worklist)
    if not any(one.is_dicom or one.is_web for one in destinations.of(site.worker)):
        raise UnusableSetting("a [worklist] needs a destination that is an archive: items say where results lie")
