"""Where results go, which of them, and how that is proven: by settings, and by ``[[destination]]`` in the site file."""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from db import fault_words
from db.address import ApplicationEntity
from db.errors import BadAddress
from db.states import DELIVERED_KINDS, OutputKind
from db.tls_profile import TlsFiles
from db.tracking import Recipient
from worker.results.profile import EVERY, Finding, Profile, ReportClass, SegForm
from worker.web_peer import WebPeer
from worker.worklist_section import Worklist

if TYPE_CHECKING:
    from worker.settings import WorkerSettings

WEB_SCHEMES = ("https", "http")
FHIR_SCHEMES = ("fhir+https", "fhir+http")
HL7_SCHEMES = ("mllp+tls", "mllp")
# Those who take the report alone, in other words than DICOM's.
REPORT_SCHEMES = (*FHIR_SCHEMES, *HL7_SCHEMES)


class Destination(WebPeer):
    """One archive or receiver of reports: what it gets, how it is logged in to, how what it has is proven."""

    url: str = Field(
        description="dicom://AET@host:port, dicom+tls://, the base URL of a DICOMweb service, fhir+https:// and the "
        "base URL of a FHIR server, or mllp://host:port, mllp+tls:// of an HL7 receiver"
    )
    objects: tuple[OutputKind, ...] = Field(
        DELIVERED_KINDS, min_length=1, description="Which objects it gets of those that are made"
    )
    proof: Literal["auto", "commitment", "query", "none"] = Field(
        "auto", description="auto: storage commitment where it is offered, else a query for each object"
    )
    seg: SegForm | None = Field(None, description="How it gets the masks; none: as WORKER_ONE_SEG says")
    segments: tuple[Finding, ...] = Field(EVERY, min_length=1, description="Which findings have segments in its SEGs")
    deflated: bool = Field(False, description="Its SEGs are in Deflated Explicit VR Little Endian")
    max_frames: int | None = Field(None, ge=1, description="An object with more frames is not sent; none: no bound")
    sr_class: ReportClass | None = Field(None, description="Class of its SR; none: as WORKER_SR_CLASS says")
    receiver: str = Field("", max_length=20, description="Receiving application of an HL7 receiver (MSH-5)")

    @model_validator(mode="before")
    @classmethod
    def _gets_what_it_can_take(cls, lines: Any) -> Any:
        """Give the report alone to those who take nothing else."""
        if not isinstance(lines, dict) or urlsplit(str(lines.get("url"))).scheme not in REPORT_SCHEMES:
            return lines
        if tuple(lines.get("objects") or ("sr",)) != ("sr",):
            raise ValueError('who takes reports by HL7 or FHIR gets objects = ["sr"]')
        return lines | {"objects": ("sr",)}

    @field_validator("objects")
    @classmethod
    def _are_sent(cls, kinds: tuple[OutputKind, ...]) -> tuple[OutputKind, ...]:
        if OutputKind.PICTURE in kinds:
            raise ValueError(f"{OutputKind.PICTURE} is none of {', '.join(DELIVERED_KINDS)}")
        return kinds

    @field_validator("url")
    @classmethod
    def _is_an_archive(cls, url: str) -> str:
        check_url(url)
        return url.rstrip("/")

    @model_validator(mode="after")
    def _fits_together(self) -> "Destination":
        if not self.is_dicom and self.proof == "commitment":
            raise ValueError("only a DICOM archive gives storage commitment; proof can be auto, query or none")
        if self.is_hl7 and self.has_login:
            raise ValueError("an HL7 receiver has no login; mllp+tls:// takes tls_ca, tls_cert and tls_key")
        if self.is_dicom and (self.has_login or (not self.is_secure and self.has_secrets)):
            raise ValueError("a login is for https, and dicom+tls:// takes tls_ca, tls_cert and tls_key")
        self.require_one_login()
        if self.has_secrets and self.is_overheard:
            raise ValueError("a login or certificate needs https, fhir+https or mllp+tls")
        if self.receiver and not self.is_hl7:
            raise ValueError("receiver is for mllp:// and mllp+tls://")
        return self

    @model_validator(mode="after")
    def _takes_what_is_made_for_it(self) -> "Destination":
        own = (self.seg, self.sr_class, self.deflated, self.max_frames, self.segments != EVERY)
        if (self.is_fhir or self.is_hl7) and any(own):
            raise ValueError("how SEG and SR are made is for archives: who takes reports gets them in other words")
        return self

    def profile(self, settings: "WorkerSettings") -> Profile:
        """Return what is made for it: its own lines, else as the settings say."""
        of_site = site_profile(settings)
        form, report_class = self.seg or of_site.form, self.sr_class or of_site.report_class
        return Profile(form, report_class, frozenset(self.segments), self.deflated)

    @property
    def is_dicom(self) -> bool:
        """Whether it is spoken to by DIMSE."""
        return not (self.is_web or self.is_fhir or self.is_hl7)

    @property
    def is_web(self) -> bool:
        """Whether it is spoken to by DICOMweb."""
        return self._scheme in WEB_SCHEMES

    @property
    def is_fhir(self) -> bool:
        """Whether it is a FHIR server."""
        return self._scheme in FHIR_SCHEMES

    @property
    def is_hl7(self) -> bool:
        """Whether it takes HL7 v2 messages."""
        return self._scheme in HL7_SCHEMES

    @property
    def is_secure(self) -> bool:
        """Whether it is spoken to by TLS."""
        return self._scheme.endswith(("https", "tls"))

    def tls_files(self, settings: "WorkerSettings") -> TlsFiles | None:
        """Return the files to call a DICOM archive by TLS: its own, else the settings'; None where one is missing."""
        certificate, key = (self.tls_cert or settings.tls_cert), (self.tls_key or settings.tls_key)
        authority = self.tls_ca or settings.tls_ca
        if certificate is None or key is None or authority is None:
            return None
        return TlsFiles(certificate, key, authority)

    @property
    def web_url(self) -> str:
        """The URL by HTTP of a DICOMweb service or a FHIR server."""
        return self.url.removeprefix("fhir+")

    @property
    def _scheme(self) -> str:
        return urlsplit(self.url).scheme


class _SiteFile(BaseModel):
    """The part of the site file that is about destinations and the worklist; the node reads the others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    destination: tuple[Destination, ...] = ()
    worklist: Worklist | None = None
    peer: Any = None
    routing: Any = None


def check_url(url: str) -> None:
    """Raise BadAddress unless a URL is that of an archive or a receiver of reports, without a login in it."""
    parts = urlsplit(url)
    if parts.scheme in HL7_SCHEMES:
        _check_hl7(url)
    elif parts.scheme not in (*WEB_SCHEMES, *FHIR_SCHEMES):
        ApplicationEntity.parse_url(url)
    elif not parts.hostname or "@" in parts.netloc or parts.query:
        raise BadAddress(
            "write the base URL of a DICOMweb service as https://host/dicom-web; a login has its own lines"
        )


def _check_hl7(url: str) -> None:
    parts = urlsplit(url)
    try:
        is_whole = bool(parts.hostname and parts.port) and not (
            parts.path.strip("/") or parts.query or "@" in parts.netloc
        )
    except ValueError:
        is_whole = False
    if not is_whole:
        raise BadAddress("write the address of an HL7 receiver as mllp://host:port or mllp+tls://host:port")


def of(settings: "WorkerSettings") -> tuple[Destination, ...]:
    """Return the destinations of the site file, and those that only WORKER_DESTINATIONS names.

    Raises
    ------
    BadAddress
        The site file cannot be read, or has a line that makes no sense; the message names it.
    """
    described = _in_file(settings.site_file).destination if settings.site_file else ()
    known = {one.url for one in described}
    plain = (Destination(url=url) for url in settings.destinations)
    return (*described, *(one for one in plain if one.url not in known))


def site_profile(settings: "WorkerSettings") -> Profile:
    """Return what is made whoever gets it: it lies in the folder, and reports by HL7 and FHIR are made of it."""
    return Profile(SegForm.ONE if settings.one_seg else SegForm.BINARY, ReportClass(settings.sr_class))


def profiles(settings: "WorkerSettings") -> tuple[Profile, ...]:
    """Return what is made: that of the site first, then what destinations want otherwise, each once."""
    return tuple(dict.fromkeys((site_profile(settings), *(one.profile(settings) for one in of(settings)))))


def worklist(settings: "WorkerSettings") -> Worklist | None:
    """Return the worklist whose items the site performs; None where there is none. Raises as :func:`of` does."""
    return _in_file(settings.site_file).worklist if settings.site_file else None


def recipients(settings: "WorkerSettings") -> tuple[Recipient, ...]:
    """Return who gets which objects."""
    return tuple(Recipient(one.url, one.objects, one.profile(settings).roles) for one in of(settings))


def _in_file(path: Path) -> _SiteFile:
    try:
        return _SiteFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadAddress(f"the site file {path} cannot be read: {error}") from error
    except ValidationError as error:
        raise BadAddress(f"the site file {path}: {fault_words.of_file(error)}") from error
