"""Settings of the status page: environment variables that begin with ``STATUS_PAGE_``."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class StatusPageSettings(BaseSettings):
    """Where the status page is shown, who may log in, and for how long."""

    model_config = SettingsConfigDict(env_prefix="STATUS_PAGE_", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", min_length=1, description="Address on which the status page is shown")
    port: int = Field(11181, ge=0, le=65535, description="TCP port of the status page; 0: not served")
    accounts: Path = Field(
        Path("scleroscan-site/accounts.json"),
        description="File of the accounts; `scleroscan up` serves the page once it is there",
    )
    tls_cert: Path | None = Field(None, description="PEM certificate of the status page; with it only HTTPS is spoken")
    tls_key: Path | None = Field(None, description="PEM key of the certificate")
    behind_proxy: bool = Field(
        False, description="A reverse proxy speaks HTTPS for the status page, and nobody else reaches its port"
    )
    idle_s: float = Field(1800.0, ge=60, le=86400, description="A login ends after so many seconds without a click")
    login_s: float = Field(36000.0, ge=60, le=604800, description="A login ends after so many seconds in any case")

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach it by HTTPS."""
        return self.behind_proxy or self.tls_cert is not None
