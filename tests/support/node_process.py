"""Listener, scheduler or STOW-RS: ``python -m tests.support.node_process PART DB_URL BROKER_URL SETTINGS``."""

import signal
import sys
import threading

from compose import logs
from db.engine import open_database
from db.tracking import JobIdentity
from dicom_node import listening, scheduling
from dicom_node.settings import NodeSettings
from dicom_node.stow import server

IDENTITY = JobIdentity("m" * 64, "s" * 64)


def main() -> None:
    """Run ``listener``, ``web`` or ``scheduler`` until SIGTERM."""
    logs.configure(logs.LogFormat.json)
    part, url, broker_url, given = sys.argv[1:]
    settings, stop = NodeSettings.model_validate_json(given), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if part == "listener":
        listening.run(settings, stop)
    elif part == "web":
        server.run(settings, stop)
    else:
        scheduling.run(settings, open_database(url), broker_url, IDENTITY, stop)


if __name__ == "__main__":
    main()
