"""Asks the archive that the images come from how many instances of a series it holds."""

from dataclasses import dataclass
from typing import Protocol

import httpx2
from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE

from db.address import SCHEME, SECURE_SCHEME, ApplicationEntity
from db.errors import BadAddress
from db.tls_profile import TlsFiles
from dicom_node.answers import KEPT_FOR_WHO_ASKED
from dicom_node.errors import BadSetting, PeerAway

CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 5, 10
NUMBER_OF_SERIES_RELATED_INSTANCES = "00201209"
STUDY_ROOT_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")


class Source(Protocol):
    """An archive that says how many instances a series has."""

    def number_of_instances(self, study_uid: str, series_uid: str) -> int | None:
        """Return the number; None where the source has no such series. Raises PeerAway where it does not answer."""


def open_source(url: str, calling_ae: str, token: str | None = None, tls: TlsFiles | None = None) -> Source:
    """Return the source behind ``dicom://AET@host:port``, ``dicom+tls://`` or the base URL of a DICOMweb service.

    Raises
    ------
    BadSetting
        The URL is neither.
    """
    if url.startswith(("http://", "https://")):
        return WebSource(url.rstrip("/"), token)
    if url.startswith((SCHEME, SECURE_SCHEME)):
        return DicomSource(application_entity(url, tls), calling_ae)
    raise BadSetting(f"{url} is no source: write dicom://AET@host:port or the URL of a DICOMweb service")


def application_entity(url: str, tls: TlsFiles | None) -> ApplicationEntity:
    """Return the archive behind ``dicom://AET@host:port``. Raises BadSetting where it is no address."""
    try:
        return ApplicationEntity.parse_url(url).called_with(tls)
    except BadAddress as error:
        raise BadSetting(str(error)) from error


@dataclass(frozen=True)
class DicomSource:
    """A source asked by C-FIND at the series level (PS3.4 C.6.2)."""

    application_entity: ApplicationEntity
    calling_ae: str

    def number_of_instances(self, study_uid: str, series_uid: str) -> int | None:
        """Ask for NumberOfSeriesRelatedInstances."""
        entity = AE(self.calling_ae)
        entity.connection_timeout = entity.acse_timeout = CONNECT_TIMEOUT_S
        entity.dimse_timeout = entity.network_timeout = ANSWER_TIMEOUT_S
        entity.add_requested_context(STUDY_ROOT_FIND)
        peer = self.application_entity
        association = entity.associate(
            peer.host,
            peer.port,
            ae_title=peer.ae_title,
            evt_handlers=[KEPT_FOR_WHO_ASKED],
            tls_args=peer.tls_arguments(),
        )
        if not association.is_established:
            raise PeerAway(f"{peer} does not take our C-FIND association")
        try:
            answers = association.send_c_find(_query(study_uid, series_uid), STUDY_ROOT_FIND)
            return _number(list(answers))
        except (RuntimeError, ValueError) as error:
            raise PeerAway(f"{peer} broke off") from error
        finally:
            association.release()


def _query(study_uid: str, series_uid: str) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.StudyInstanceUID, query.SeriesInstanceUID = study_uid, series_uid
    query.NumberOfSeriesRelatedInstances = None
    return query


def _number(answers: list[tuple[Dataset, Dataset | None]]) -> int | None:
    """Return the number in the first match. Raises PeerAway where the last answer is not success."""
    if not answers or answers[-1][0].get("Status") != 0x0000:
        raise PeerAway("the source did not answer C-FIND with success")
    numbers = [match.get("NumberOfSeriesRelatedInstances") for _, match in answers if match is not None]
    return int(numbers[0]) if numbers and numbers[0] is not None else None


@dataclass(frozen=True)
class WebSource:
    """A source asked by QIDO-RS (PS3.18 10.6)."""

    base_url: str
    token: str | None = None

    def number_of_instances(self, study_uid: str, series_uid: str) -> int | None:
        """Ask for NumberOfSeriesRelatedInstances."""
        parameters = {"SeriesInstanceUID": series_uid, "includefield": NUMBER_OF_SERIES_RELATED_INSTANCES}
        try:
            answer = httpx2.get(
                f"{self.base_url}/studies/{study_uid}/series",
                params=parameters,
                headers={"Accept": "application/dicom+json"} | bearer(self.token),
                timeout=httpx2.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            )
            answer.raise_for_status()
            matches = answer.json() if answer.content else []
            values = matches[0].get(NUMBER_OF_SERIES_RELATED_INSTANCES, {}).get("Value") if matches else None
            return int(values[0]) if values else None
        except (httpx2.HTTPError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise PeerAway(f"the source did not answer QIDO-RS ({type(error).__name__})") from error


def bearer(token: str | None) -> dict[str, str]:
    """Return the HTTP header that shows a token; no header where there is no token."""
    return {"Authorization": f"Bearer {token}"} if token else {}
