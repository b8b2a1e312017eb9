"""Settings of the worker: environment variables that begin with ``WORKER_``."""

import json
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from kombu.transport import TRANSPORT_ALIASES
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from db.address import AE_TITLE
from db.states import OutputKind
from worker import destinations, packaged_model

EMBEDDED = "embedded"
PACKAGED_WEIGHTS = packaged_model.WEIGHTS


class WorkerSettings(BaseSettings):
    """What a worker needs to know of its site."""

    model_config = SettingsConfigDict(env_prefix="WORKER_", frozen=True, extra="forbid")

    broker_url: str = Field(
        EMBEDDED,
        description="Celery broker, as redis://host:6379/0; 'embedded' starts a private Valkey from pip",
        examples=["redis://10.0.0.5:6379/0"],
    )
    destinations: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Archives for results: dicom://AET@host:port, dicom+tls:// or the https:// URL of a DICOMweb "
        "service, several with commas or as a JSON list; none: results stay in the folder",
        examples=["dicom://PACS@10.0.0.5:104"],
    )
    site_file: Path | None = Field(
        None,
        description="TOML file with destinations, what each gets and how it is logged in to; none: the node's",
    )
    ae_title: str = Field(
        "SCLEROSCAN",
        min_length=1,
        max_length=16,
        pattern=f"^{AE_TITLE}$",
        description="Calling AE title when delivering",
    )
    tls_cert: Path | None = Field(
        None, description="PEM certificate shown to dicom+tls:// destinations without one of their own"
    )
    tls_key: Path | None = Field(None, description="PEM key of the certificate")
    tls_ca: Path | None = Field(None, description="PEM authorities that sign the certificates of these destinations")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu or cuda:0")
    engine: str = Field(
        "auto",
        pattern=r"^(auto|torch|openvino)$",
        description="What runs the network: auto (OpenVINO on a CPU, torch on a GPU), torch or openvino",
    )
    weights: Path = Field(PACKAGED_WEIGHTS, description="safetensors file of the pattern model, model card beside it")
    results_dir: Path = Field(
        Path("scleroscan-site/results"), description="Folder for SEG, SR and pictures of each job"
    )
    cache_dir: Path = Field(
        Path("scleroscan-site/cache"),
        description="Folder for the network as OpenVINO reads it, so that a worker starts within a second; private",
    )
    page: bool = Field(True, description="Send the page that any viewer shows, a secondary capture, beside SEG and SR")
    pdf: bool = Field(False, description="Send the page as an encapsulated PDF too, for archives that show documents")
    key_images: bool = Field(False, description="Send a key object selection of the images that show most disease")
    one_seg: bool = Field(
        False,
        description="Disease and lungs in one SEG; otherwise each is an SEG of its own, so that lungs hide nothing",
    )
    sr_class: Literal["comprehensive3d", "comprehensive", "enhanced"] = Field(
        "comprehensive3d",
        description="Class of the SR: the content is the same, and more archives take enhanced",
    )
    lease_s: float = Field(
        60.0, ge=1, le=3600, description="A job not renewed for so many seconds may be claimed again"
    )
    max_attempts: int = Field(3, ge=1, le=20, description="Claims of one job before it rests as failed")
    time_limit_s: int = Field(3600, ge=60, le=86400, description="Hard limit of one task, seconds")
    delivery_retry_s: float = Field(
        5.0, ge=0.1, le=3600, description="First pause before a delivery is tried again; doubles"
    )
    delivery_retry_max_s: float = Field(86400.0, ge=1, le=86400, description="Longest pause between delivery tries")
    proof_wait_s: float = Field(
        60.0, ge=0.1, le=3600, description="First pause before a proof of delivery is sought again; doubles"
    )
    delivery_give_up_s: float = Field(
        1209600.0, ge=1, description="A delivery not done after so many seconds becomes a dead letter"
    )

    @property
    def objects_beside_seg_and_sr(self) -> frozenset[OutputKind]:
        """The objects that a job makes beside SEG and SR."""
        wanted = {OutputKind.PAGE: self.page, OutputKind.PDF: self.pdf, OutputKind.KEY_IMAGES: self.key_images}
        return frozenset(kind for kind, is_wanted in wanted.items() if is_wanted)

    @field_validator("broker_url")
    @classmethod
    def _is_a_broker(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            known = parts.scheme.split("+")[0] in TRANSPORT_ALIASES and (parts.port or 1) > 0
        except ValueError:
            known = False
        if url != EMBEDDED and not known:
            raise ValueError(f"{url} is no broker that Celery knows")
        return url

    @field_validator("destinations", mode="before")
    @classmethod
    def _are_a_list(cls, written: object) -> object:
        if not isinstance(written, str):
            return written
        if not written.lstrip().startswith("["):
            return tuple(part.strip() for part in written.split(",") if part.strip())
        try:
            return tuple(json.loads(written))
        except ValueError as error:
            raise ValueError(f"{written} is no JSON list") from error

    @field_validator("destinations")
    @classmethod
    def _are_archives(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            destinations.check_url(url)
        return urls
