"""Keeps the numbers of a site from strangers, and a site from messages that could never be sent."""

from pathlib import Path
from urllib.parse import urlsplit

from compose.errors import UnusableSetting
from compose.monitor.settings import MonitorSettings
from dicom_node import site_file


def require_guard(settings: MonitorSettings) -> None:
    """Raise UnusableSetting where other machines can reach the numbers and no token is asked for."""
    if settings.port and settings.token is None and not site_file.is_loopback(settings.host):
        raise UnusableSetting(
            f"MONITOR_HOST={settings.host} is reached from other machines: set MONITOR_TOKEN, as "
            "MONITOR_TOKEN=16-characters-or-more, or MONITOR_HOST=127.0.0.1"
        )


def require_channels(settings: MonitorSettings) -> None:
    """Raise UnusableSetting where people are to be told and something for it is missing."""
    if settings.mail_server and not (settings.mail_from and settings.mail_to):
        raise UnusableSetting("MONITOR_MAIL_SERVER sends from MONITOR_MAIL_FROM to MONITOR_MAIL_TO: set both")
    if urlsplit(settings.mail_server or "").username and settings.mail_password_file is None:
        raise UnusableSetting("MONITOR_MAIL_SERVER names a user: its password is in MONITOR_MAIL_PASSWORD_FILE")
    for field in ("webhook_token_file", "mail_password_file", "notify_ca"):
        path: Path | None = getattr(settings, field)
        if path is not None:
            _require_readable(f"MONITOR_{field.upper()}", path)


def _require_readable(name: str, path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise UnusableSetting(f"{name}={path} cannot be read: {error.strerror}") from error
