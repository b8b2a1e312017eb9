"""Settings of listener, STOW-RS and scheduler: environment variables that begin with ``DICOM_NODE_``."""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from db.address import AE_TITLE, SCHEME, SECURE_SCHEME, ApplicationEntity
from dicom_node.audit_messages import syslog


class NodeSettings(BaseSettings):
    """How images are received, how long a series waits, and how long images stay."""

    model_config = SettingsConfigDict(env_prefix="DICOM_NODE_", frozen=True, extra="forbid")

    ae_title: str = Field(
        "SCLEROSCAN", min_length=1, max_length=16, pattern=f"^{AE_TITLE}$", description="AE title that senders call"
    )
    host: str | None = Field(
        None,
        description="Address to listen on; none: every one where the site file lists peers, else 127.0.0.1 alone",
        examples=["127.0.0.1"],
    )
    open: bool = Field(False, description="Listen on every address though no peer is listed: anybody may send")
    port: int = Field(11112, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one")
    spool_dir: Path = Field(Path("scleroscan-site/spool"), description="Folder for received images, byte for byte")
    site_file: Path | None = Field(
        None, description="TOML file with known senders and routing rules; see the reference"
    )
    any_called_ae: bool = Field(False, description="Also take associations that call another AE title than ours")
    tls_cert: Path | None = Field(None, description="PEM certificate of this node; with it only TLS is spoken")
    tls_key: Path | None = Field(None, description="PEM key of the certificate")
    tls_client_ca: Path | None = Field(None, description="PEM authorities whose client certificates are let in")
    source: str | None = Field(
        None,
        description="Archive asked how many images a series has: dicom://AET@host:port or dicom+tls://, "
        "or a DICOMweb URL",
        examples=["dicom://PACS@10.0.0.5:104"],
    )
    source_token: SecretStr | None = Field(None, description="Bearer token for a DICOMweb source")
    web_port: int | None = Field(
        None, ge=1, le=65535, description="Port for STOW-RS; none: not served", examples=[8080]
    )
    web_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="Bearer token that STOW-RS senders show; none: client certificates alone",
        examples=["16-characters-or-more"],
    )
    settle_s: float = Field(
        5.0, gt=0, le=3600, description="Shortest quiet, where the source or the modality says that a series is whole"
    )
    quiet_s: float = Field(30.0, gt=0, le=3600, description="A series may be complete after so many seconds of quiet")
    gap_wait_s: float = Field(
        120.0, gt=0, le=86400, description="A series that lacks slices or was broken off waits so long for the rest"
    )
    study_wait_s: float = Field(
        60.0, ge=0, le=86400, description="A whole series waits so long for others of its study, to choose the best"
    )
    stalled_s: float = Field(
        900.0,
        gt=0,
        le=86400,
        description="An association still open but silent for so long no longer holds a series back",
    )
    renotify_s: float = Field(
        60.0, gt=0, le=3600, description="Work that waits so long gets another wake-up, where messages were lost"
    )
    receivers: int = Field(2, ge=1, le=64, description="Processes that receive on the port; each can use one core")
    max_associations: int = Field(64, ge=1, le=1000, description="Associations at one time; more are rejected")
    max_associations_per_peer: int = Field(
        32, ge=1, le=1000, description="Associations, or connections by STOW-RS, of one address at one time"
    )
    max_instance_mb: int = Field(
        4096, ge=1, le=1_000_000, description="Largest image taken, megabytes; a larger one ends its association"
    )
    min_bytes_per_s: int = Field(
        500,
        ge=0,
        le=1_000_000,
        description="A peer that sends more slowly, over NETWORK_TIMEOUT_S of waiting, is cut off; 0: none is",
    )
    max_pdu_bytes: int = Field(131072, ge=0, le=16777216, description="Largest PDU we accept, bytes; 0 is unlimited")
    network_timeout_s: float = Field(120.0, gt=0, le=3600, description="A silent association is aborted after so long")
    request_timeout_s: float = Field(
        10.0, gt=0, le=3600, description="A connection that asks for no association within so many seconds is closed"
    )
    min_free_mb: int = Field(1024, ge=0, description="Below so many megabytes free, images are refused with 0xA700")
    retention_days: float = Field(
        30.0,
        ge=0,
        le=36500,
        description="Images leave the spool so long after their results were delivered, or made where nobody gets them",
    )
    retention_skipped_days: float = Field(
        7.0, ge=0, le=36500, description="Images of a series that the rules left out stay so long"
    )
    retention_incomplete_days: float = Field(
        30.0,
        ge=0,
        le=36500,
        description="Images of a series that stayed incomplete and unmeasured stay so long",
    )
    retention_unresolved_days: float = Field(
        90.0, ge=0, le=36500, description="Images whose job was rejected, failed, or waits for a person stay so long"
    )
    retention_results_days: float = Field(
        365.0,
        ge=0,
        le=36500,
        description="Files of results stay so long after they were delivered, discarded or superseded",
    )
    store_url: str | None = Field(
        None,
        description="Object store for images and results whose time is over, any URL of fsspec, without login; none: "
        "they are removed",
        examples=["s3://bucket/prefix"],
    )
    store_options: Path | None = Field(
        None, description="JSON file with options of fsspec for the store, as endpoint_url; none: those of the library"
    )
    anchor_file: Path | None = Field(
        None, description="File for the hourly anchors of the audit; none: anchors.jsonl beside the spool's images"
    )
    anchor_s: float = Field(3600.0, ge=1, le=86400, description="So often the heads of all event chains are anchored")
    syslog: str | None = Field(
        None,
        description="Audit repository told by DICOM audit messages: syslog+tls://host:6514 or syslog+udp://host:514",
        examples=["syslog+tls://audit.example:6514"],
    )
    syslog_ca: Path | None = Field(
        None, description="PEM authorities that sign the certificate of the audit repository; none: those of the system"
    )
    low_free_mb: int = Field(2048, ge=0, description="Below so many megabytes free, new associations are rejected")

    @property
    def notices(self) -> Path:
        """The folder of what processes have to tell the audit repository."""
        return self.spool_dir / "notices"

    @property
    def anchors(self) -> Path:
        """The file of the anchors."""
        return self.anchor_file or self.spool_dir / "anchors.jsonl"

    @field_validator("syslog")
    @classmethod
    def _is_a_repository(cls, url: str | None) -> str | None:
        if url is not None:
            syslog.parse(url)
        return url

    @field_validator("store_url")
    @classmethod
    def _is_a_store(cls, url: str | None) -> str | None:
        parts = urlsplit(url) if url is not None else None
        if parts is not None and not (parts.scheme and (parts.netloc or parts.path.strip("/"))):
            raise ValueError(f"{url} is no store: it is file:///folder, s3://bucket/prefix or another URL of fsspec")
        if parts is not None and (parts.password is not None or parts.query):
            raise ValueError(
                "a login does not belong into the URL: it stands in the environment or a file, as fsspec reads it"
            )
        return url.rstrip("/") if url else url

    @field_validator("source")
    @classmethod
    def _is_an_archive(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            if not url.startswith((SCHEME, SECURE_SCHEME)):
                raise ValueError(f"{url} is no source: it is dicom://AET@host:port or the URL of a DICOMweb service")
            ApplicationEntity.parse_url(url)
        return url
