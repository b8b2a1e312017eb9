"""Wakes workers by a Celery message that holds one job id; a lost message does no harm, for the row holds the work."""

import logging
from typing import Any

from celery import Celery
from kombu.exceptions import KombuError, OperationalError

logger = logging.getLogger(__name__)
SOCKET_TIMEOUT_S = 5


class Dispatcher:
    """Sends wake-ups. While the broker is away it logs that once and returns False; the scheduler tries again later."""

    def __init__(self, broker_url: str) -> None:
        self._celery = Celery("scleroscan", broker=broker_url, set_as_current=False)
        self._celery.conf.update(
            broker_connection_timeout=SOCKET_TIMEOUT_S,
            broker_transport_options={
                "socket_timeout": SOCKET_TIMEOUT_S,
                "socket_connect_timeout": SOCKET_TIMEOUT_S,
                # The scheduler tries again at its next tick; retries in here would keep it from registering images.
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
        """Wake a worker for the deliveries of a job to one destination."""
        return self._send("scleroscan.deliver", [job_id, destination], "deliver")

    def ask_for_beat(self, queue: str, expires_s: float) -> bool:
        """Ask the workers of a queue for a sign of life; a worker drops the question once it is older."""
        return self._send("scleroscan.beat", [queue], queue, expires_s)

    def messages(self, queue: str) -> int | None:
        """Return how many messages of a queue no worker has taken yet; None while the broker is away."""
        with self._celery.connection_for_write() as connection:
            try:
                # Kombu's stubs know no channel of a transport.
                channel: Any = connection.default_channel
                return int(channel.queue_declare(queue, passive=True).message_count)
            except connection.channel_errors:
                # In Redis a queue without messages is none.
                return 0
            except (OperationalError, KombuError, OSError):
                return None
            except connection.connection_errors:
                return None

    def _send(self, name: str, words: list[object], queue: str, expires_s: float | None = None) -> bool:
        try:
            # A new connection each time: one kept open would not declare its queue again on a broker that has lost
            # all its queues. Wake-ups are few, so this costs little.
            with self._celery.connection_for_write() as connection:
                self._celery.send_task(name, words, queue=queue, connection=connection, retry=False, expires=expires_s)
        except (OperationalError, KombuError, OSError) as error:
            if not self._away:
                logger.warning("broker away, work waits in the rows", extra={"error": type(error).__name__})
            self._away = True
            return False
        if self._away:
            logger.info("broker is back")
        self._away = False
        return True
