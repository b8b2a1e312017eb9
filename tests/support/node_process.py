"""Listener, scheduler, STOW-RS or courier: ``python -m tests.support.node_process PART DB_URL BROKER_URL SETTINGS``."""

import signal
import sys

from compose import logs
from db.engine import open_database
from db.tracking import JobIdentity
from dicom_node import listening, scheduling
from dicom_node.settings import NodeSettings
from dicom_node.stop import Stop
from dicom_node.stow import server

IDENTITY = JobIdentity("m" * 64, "s" * 64)
# Shorter than a site may have it: what a killed courier held is sent by another one soon.
LEASE_S = 4


def main() -> None:
    """Run a part of the node until SIGTERM, or as ``courier`` the worker that delivers."""
    logs.configure(logs.LogFormat.json)
    part, url, broker_url, given = sys.argv[1:]
    if part == "courier":
        _deliver(url, given)
        return
    settings, stop = NodeSettings.model_validate_json(given), Stop.on(signal.SIGTERM)
    if part == "listener":
        listening.run(settings, stop)
    elif part == "web":
        server.run(settings, stop)
    else:
        scheduling.run(settings, open_database(url), broker_url, IDENTITY, stop)


def _deliver(url: str, given: str) -> None:
    # The parts of a node do without Celery's workers.
    from worker import app  # noqa: PLC0415
    from worker.settings import WorkerSettings  # noqa: PLC0415

    settings = WorkerSettings.model_validate_json(given).model_copy(update={"time_limit_s": LEASE_S})
    app.run(app.Site(settings, url), app.DELIVER)


if __name__ == "__main__":
    main()
