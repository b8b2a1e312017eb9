"""Settings of the database: environment variables that begin with ``DB_``."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class DbSettings(BaseSettings):
    """Where the rows are kept."""

    model_config = SettingsConfigDict(env_prefix="DB_", frozen=True, extra="forbid")

    url: SecretStr = Field(
        SecretStr("sqlite:///scleroscan-site/scleroscan.db"),
        description="SQLAlchemy URL: postgresql+psycopg://user:password@host/name, or sqlite:///file for one machine",
    )
