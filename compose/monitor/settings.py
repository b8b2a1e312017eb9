"""Settings of the monitor: environment variables that begin with ``MONITOR_``."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

STARTTLS, IN_THE_CLEAR = "smtp+starttls", "smtp"


class MonitorSettings(BaseSettings):
    """Where health and numbers are shown, and when a part counts as stopped."""

    model_config = SettingsConfigDict(env_prefix="MONITOR_", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", min_length=1, description="Address on which health and metrics are shown")
    port: int = Field(11180, ge=0, le=65535, description="TCP port of health and metrics; 0: not served")
    token: SecretStr | None = Field(
        None,
        min_length=16,
        description="Bearer token for /metrics; needed where the address is not of this machine alone",
        examples=["16-characters-or-more"],
    )
    late_s: float = Field(
        60.0, ge=10, le=3600, description="A part that gave no sign of life for so many seconds counts as stopped"
    )
    webhook: SecretStr | None = Field(
        None,
        description="URL that is told by HTTP POST of JSON what troubles the site; none: nobody",
        examples=["https://chat.example/hooks/1"],
    )
    webhook_token_file: Path | None = Field(None, description="File with the bearer token for the webhook")
    mail_server: str | None = Field(
        None,
        description="Mail server for the same messages: smtp+starttls://user@host:587, or smtp://host in the clear",
        examples=["smtp+starttls://scleroscan@mail.example:587"],
    )
    mail_password_file: Path | None = Field(None, description="File with the password of the user at the mail server")
    mail_from: str | None = Field(
        None, description="Address that sends these mails", examples=["scleroscan@hospital.example"]
    )
    mail_to: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Addresses that get them, several with commas", examples=["it@hospital.example"]
    )
    notify_ca: Path | None = Field(
        None, description="PEM authorities of webhook and mail server; none: those of the system"
    )
    notify_after_s: float = Field(
        120.0, ge=0, le=86400, description="A trouble is told after so many seconds, and called over after so many"
    )
    low_disk_gb: float = Field(
        5.0, ge=0, le=1_000_000, description="With fewer gigabytes free at spool or results people are told"
    )

    @field_validator("mail_to", mode="before")
    @classmethod
    def _with_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(one.strip() for one in value.split(",") if one.strip())
        return value

    @field_validator("webhook")
    @classmethod
    def _is_http(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and urlsplit(url.get_secret_value()).scheme not in {"http", "https"}:
            raise ValueError("it is no http:// or https:// URL")
        return url

    @field_validator("mail_server")
    @classmethod
    def _is_a_mail_server(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {STARTTLS, IN_THE_CLEAR} or not parts.hostname:
            raise ValueError("it is no smtp+starttls:// or smtp:// address")
        if parts.password:
            raise ValueError("the password belongs into the file that MONITOR_MAIL_PASSWORD_FILE names")
        if parts.username and parts.scheme == IN_THE_CLEAR:
            raise ValueError("a password is not sent in the clear: write smtp+starttls://")
        return url
