"""Fetching from a DICOMweb archive by QIDO-RS and WADO-RS (PS3.18 10.6, 10.4)."""

from dataclasses import dataclass

import httpx2

from dicom_node import multipart
from dicom_node.errors import PeerAway, PullIncomplete, WrongSOPClass
from dicom_node.multipart import Malformed, PartReader
from dicom_node.retrieve.request import Retrieved, RetrieveRequest
from dicom_node.retrieve.source import bearer
from dicom_node.settings import NodeSettings
from dicom_node.spool import part10
from dicom_node.spool.folder import Spool
from dicom_node.spool.part10 import Way

CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 10, 300
ANY_SYNTAX = 'multipart/related; type="application/dicom"; transfer-syntax=*'
SENDER = "WADO-RS"


@dataclass(frozen=True)
class WebArchive:
    """An archive asked by QIDO-RS for how many there are, and by WADO-RS for the images."""

    base_url: str
    token: str | None
    spool: Spool
    settings: NodeSettings

    def fetch(self, request: RetrieveRequest) -> Retrieved:
        """Fetch; raises PeerAway or PullIncomplete."""
        timeout = httpx2.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        try:
            with httpx2.Client(headers=bearer(self.token), timeout=timeout) as client:
                expected = self._number(client, request)
                came = self._retrieve(client, request)
        except (httpx2.HTTPError, Malformed) as error:
            raise PeerAway(f"the archive does not answer, or breaks off ({type(error).__name__}: {error})") from error
        if len(came) < expected:
            raise PullIncomplete(f"{len(came)} of {expected} objects came; pull again")
        series = [uid for uid in came if uid is not None]
        return Retrieved(len(series), len(came) - len(series), "WADO-RS", frozenset(series))

    def _number(self, client: httpx2.Client, request: RetrieveRequest) -> int:
        url = f"{self.base_url}{request.path}/instances"
        answer = client.get(url, headers={"Accept": "application/dicom+json"})
        answer.raise_for_status()
        return len(answer.json()) if answer.content else 0

    def _retrieve(self, client: httpx2.Client, request: RetrieveRequest) -> list[str | None]:
        """Keep the images and return the series of each; None for each object of another kind."""
        came = []
        with client.stream("GET", f"{self.base_url}{request.path}", headers={"Accept": ANY_SYNTAX}) as answer:
            answer.raise_for_status()
            _, limiter = multipart.boundary(answer.headers.get("content-type", ""))
            reader = PartReader(limiter, self.settings.web_max_instance_mb * 1_000_000)
            for chunk in answer.iter_bytes():
                came += [self._keep(bytes(part.body)) for part in reader.feed(chunk)]
            reader.close()
        return came

    def _keep(self, content: bytes) -> str | None:
        try:
            image = part10.image_of_file(content)
        except WrongSOPClass:
            return None
        part10.keep(self.spool, image, Way(SENDER, self.settings.ae_title))
        return image.identity.series_uid
