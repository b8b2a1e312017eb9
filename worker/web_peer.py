"""A server spoken to by HTTP, and how it is logged in to; lines of the site file that several sections have."""

from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

IN_THE_CLEAR = ("http", "fhir+http", "mllp")


class ClientCredentials(BaseModel):
    """OAuth2 client credentials (RFC 6749 4.4): where a token is got, and for whom."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_url: str = Field(pattern="^https?://", description="Where the authorization server gives tokens")
    client_id: str = Field(min_length=1, description="Who we are there")
    client_secret_file: Path = Field(description="File with the secret alone")
    scope: str | None = Field(None, description="What the token is asked for")


class WebPeer(BaseModel):
    """A server at a URL: what proves to it who we are, and to us who it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    token_file: Path | None = Field(None, description="File with a bearer token alone; read anew for each request")
    user: str | None = Field(None, description="User of basic authentication")
    password_file: Path | None = Field(None, description="File with the password alone")
    oauth2: ClientCredentials | None = Field(None, description="Client credentials for a bearer token")
    tls_ca: Path | None = Field(
        None, description="PEM authorities it is known by; none: those of the settings for DICOM, else of the system"
    )
    tls_cert: Path | None = Field(None, description="PEM certificate shown to it; none: for DICOM that of the settings")
    tls_key: Path | None = Field(None, description="PEM key of the certificate")

    @property
    def web_url(self) -> str:
        """The URL by HTTP."""
        return self.url

    @property
    def is_overheard(self) -> bool:
        """Whether it is spoken to in the clear over a network."""
        parts = urlsplit(self.url)
        return parts.scheme in IN_THE_CLEAR and not _is_here(parts.hostname or "")

    @property
    def logins(self) -> tuple[object, ...]:
        """What logs in, each None where it is not given: one at most may be."""
        return self.token_file, self.user, self.oauth2

    @property
    def has_login(self) -> bool:
        """Whether it has a login, or a part of one."""
        return any(value is not None for value in (*self.logins, self.password_file))

    @property
    def has_secrets(self) -> bool:
        """Whether it has a login or a certificate."""
        return self.has_login or any(value is not None for value in (self.tls_ca, self.tls_cert, self.tls_key))

    def require_one_login(self) -> None:
        """Raise ValueError where a login is told twice or by half."""
        if sum(value is not None for value in self.logins) > 1:
            raise ValueError("one login is enough: token_file, user with password_file, or oauth2")
        if (self.user is None) != (self.password_file is None) or (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("user and password_file belong together, and so do tls_cert and tls_key")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
