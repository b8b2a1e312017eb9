"""Fetches from a DICOMweb archive by QIDO-RS and WADO-RS (PS3.18 10.6, 10.4)."""

from dataclasses import dataclass, field

import httpx2

from dicom_node import multipart
from dicom_node.errors import PeerAway, PullIncomplete, UnreadableInstance, WrongSOPClass
from dicom_node.multipart import Malformed, PartReader
from dicom_node.retrieve.request import Retrieved, RetrieveRequest
from dicom_node.retrieve.source import bearer
from dicom_node.settings import NodeSettings
from dicom_node.spool.arriving import ArrivingFile
from dicom_node.spool.folder import Spool
from dicom_node.spool.part10 import Way

CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 10, 300
ANY_SYNTAX = 'multipart/related; type="application/dicom"; transfer-syntax=*'
SENDER = "WADO-RS"


@dataclass
class _Taken:
    """What came: the series of each image kept, the number of objects that are no CT, and why images were refused."""

    series: list[str] = field(default_factory=list)
    left_out: int = 0
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class WebArchive:
    """A DICOMweb archive: QIDO-RS asks how many objects it holds, WADO-RS fetches them."""

    base_url: str
    token: str | None
    spool: Spool
    settings: NodeSettings

    def fetch(self, request: RetrieveRequest) -> Retrieved:
        """Fetch what the request names. Raises PeerAway or PullIncomplete."""
        timeout = httpx2.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        try:
            with httpx2.Client(headers=bearer(self.token), timeout=timeout) as client:
                expected = self._number(client, request)
                taken = self._retrieve(client, request)
        except (httpx2.HTTPError, Malformed) as error:
            raise PeerAway(f"the archive does not answer, or breaks off ({type(error).__name__}: {error})") from error
        if taken.refused:
            raise PullIncomplete(f"{len(taken.refused)} images were refused here: {taken.refused[0]}; pull again")
        images, left_out = len(taken.series), taken.left_out
        if images + left_out < expected:
            raise PullIncomplete(f"{images + left_out} of {expected} objects came; pull again")
        return Retrieved(images, left_out, "WADO-RS", frozenset(taken.series))

    def _number(self, client: httpx2.Client, request: RetrieveRequest) -> int:
        url = f"{self.base_url}{request.path}/instances"
        answer = client.get(url, headers={"Accept": "application/dicom+json"})
        answer.raise_for_status()
        return len(answer.json()) if answer.content else 0

    def _retrieve(self, client: httpx2.Client, request: RetrieveRequest) -> _Taken:
        taken = _Taken()
        with client.stream("GET", f"{self.base_url}{request.path}", headers={"Accept": ANY_SYNTAX}) as answer:
            answer.raise_for_status()
            _, limiter = multipart.boundary(answer.headers.get("content-type", ""))
            way = Way(SENDER, self.settings.ae_title)
            largest = self.settings.max_instance_mb * 1_000_000
            reader = PartReader(limiter, largest, lambda: _Body(ArrivingFile(self.spool, way), taken))
            try:
                for chunk in answer.iter_bytes():
                    reader.feed(chunk)
                reader.close()
            finally:
                reader.discard()
        return taken


class _Body:
    """Takes one object that the archive sends."""

    def __init__(self, file: ArrivingFile, taken: _Taken) -> None:
        self._file, self._taken = file, taken
        self.extend, self.discard = file.extend, file.discard

    def finish(self) -> None:
        """Keep the object if it is a CT image."""
        try:
            self._taken.series.append(self._file.keep().series_uid)
        except WrongSOPClass:
            self._taken.left_out += 1
        except UnreadableInstance as error:
            self._taken.refused.append(str(error))
