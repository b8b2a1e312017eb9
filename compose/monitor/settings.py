"""Settings of the monitor: environment variables that begin with ``MONITOR_``."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


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
