"""A worker's sign of life: raised when it takes a message, and again and again while it works on one."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event, Thread

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from db import tracking

logger = logging.getLogger(__name__)
EVERY_S = 3.0


@contextmanager
def beating(sessions: sessionmaker[Session], queue: str, who: str) -> Iterator[None]:
    """Beat at once, and every few seconds until the block ends; a database that is away is no reason to stop."""
    over = Event()
    thread = Thread(target=_beat, args=(sessions, queue, who, over), name="pulse", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _beat(sessions: sessionmaker[Session], queue: str, who: str, over: Event) -> None:
    while True:
        try:
            with sessions.begin() as session:
                tracking.note_heartbeat(session, queue, who, datetime.now(UTC))
        except SQLAlchemyError as error:
            logger.debug("no sign of life could be given", extra={"error": type(error).__name__})
        if over.wait(EVERY_S):
            return
