"""Settings of the database: environment variables that begin with ``DB_``."""

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

# The driver for each name that people give a database; these drivers are installed with the package.
DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
}
ESCAPES = "in a password @ is written %40, : %3A, / %2F and % %25"


class DbSettings(BaseSettings):
    """Where the rows are kept."""

    model_config = SettingsConfigDict(env_prefix="DB_", frozen=True, extra="forbid")

    url: SecretStr = Field(
        SecretStr("sqlite:///scleroscan-site/scleroscan.db"),
        description="postgresql://user:password@host/name, or sqlite:///file for one machine",
        examples=["postgresql://user:password@host/name"],
    )

    @field_validator("url")
    @classmethod
    def _names_its_driver(cls, url: SecretStr) -> SecretStr:
        return SecretStr(_parsed(url.get_secret_value()).render_as_string(hide_password=False))


def _parsed(text: str) -> URL:
    """Return the URL with its driver. Raises ValueError, which shows no password."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError("it is no URL of a database") from None
    except ValueError:
        raise ValueError(f"the port is no number; {ESCAPES}") from None
    if "@" in f"{url.host} {url.database}" and url.host:
        raise ValueError(f"the host has an @; {ESCAPES}")
    if url.drivername not in DRIVERS:
        raise ValueError(f"{url.drivername} is no database that Scleroscan speaks to")
    return url.set(drivername=DRIVERS[url.drivername])
