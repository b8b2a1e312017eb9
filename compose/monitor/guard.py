"""Keeps the numbers of a site from strangers."""

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
