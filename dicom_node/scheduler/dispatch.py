"""Waking workers: one job id on the broker, nothing that could not be lost."""

import logging

from celery import Celery
from kombu.exceptions import KombuError, OperationalError

logger = logging.getLogger(__name__)
SOCKET_TIMEOUT_S = 5


class Dispatcher:
    """Sends wake-ups. With the broker away it says so once and returns False; the rows bring the work back."""

    def __init__(self, broker_url: str) -> None:
        self._celery = Celery("scleroscan", broker=broker_url, set_as_current=False)
        self._celery.conf.update(
            broker_connection_timeout=SOCKET_TIMEOUT_S,
            broker_transport_options={
                "socket_timeout": SOCKET_TIMEOUT_S,
                "socket_connect_timeout": SOCKET_TIMEOUT_S,
                # The watcher tries again at its next tick; a pause in here would stop it from registering images.
                "max_retries": 0,
            },
            task_ignore_result=True,
            task_serializer="json",
        )
        self._away = False

    def analyse(self, job_id: int) -> bool:
        """Wake a worker for a job."""
        return self._send("scleroscan.analyse", [job_id], "analyse")

    def deliver(self, job_id: int, destination: str) -> bool:
        """Wake a worker for what a job owes to a destination."""
        return self._send("scleroscan.deliver", [job_id, destination], "deliver")

    def _send(self, name: str, words: list[object], queue: str) -> bool:
        try:
            # A connection of its own each time: one kept open would not declare its queue again on a broker that was
            # emptied meanwhile, and wake-ups are few.
            with self._celery.connection_for_write() as connection:
                self._celery.send_task(name, words, queue=queue, connection=connection, retry=False)
        except (OperationalError, KombuError, OSError) as error:
            if not self._away:
                logger.warning("broker away, work waits in the rows", extra={"error": type(error).__name__})
            self._away = True
            return False
        if self._away:
            logger.info("broker is back")
        self._away = False
        return True
