"""The whole node as a process of its own: ``python -m tests.support.node_process DB_URL BROKER_URL SETTINGS``."""

import logging
import signal
import sys
import threading

from compose import logs
from db.engine import open_database
from db.tracking import JobIdentity
from dicom_node import service
from dicom_node.settings import NodeSettings

IDENTITY = JobIdentity("m" * 64, "s" * 64)


def main() -> None:
    """Run until SIGTERM."""
    logs.configure(logs.LogFormat.json)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    url, broker_url, settings = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    service.run(NodeSettings.model_validate_json(settings), open_database(url), broker_url, IDENTITY, stop)


if __name__ == "__main__":
    main()
