"""Hears of requests to cancel our items: the worklist tells its subscribers by WebSocket (PS3.18 11.12, 11.13)."""

import json
import logging
from collections.abc import Callable
from threading import Event, Thread
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from worker.delivery import web_login
from worker.delivery.web_session import CONNECT_TIMEOUT_S
from worker.errors import DeliveryFailed
from worker.worklist_section import Worklist

logger = logging.getLogger(__name__)
LISTEN_S = 1.0
LONGEST_EVENT = 1_000_000
# PS3.4 Table CC.2.4-1.
CANCEL_REQUESTED = 2
SOP_INSTANCE, EVENT_TYPE, REASON = "00001000", "00001002", "00741238"
PORTS = {"ws": 80, "wss": 443, "http": 80, "https": 443}
Heard = Callable[[str, str], None]


class CancelRequests:
    """Listens to one WebSocket at a time, in a thread of its own.

    Parameters
    ----------
    heard
        Called with the UID of an item and the reason in words.
    """

    def __init__(self, worklist: Worklist, heard: Heard) -> None:
        self._worklist, self._heard = worklist, heard
        self._stop = Event()
        self._thread: Thread | None = None

    @property
    def is_listening(self) -> bool:
        """Whether a connection is open, or about to be."""
        return self._thread is not None and self._thread.is_alive()

    def listen(self, url: str, shown: str) -> bool:
        """Listen at a URL that the worklist gave us, with the login that it took; False where it is not its own."""
        if not _is_of(url, self._worklist):
            # It would learn our login.
            logger.warning("events are offered by another server, and not listened to", extra={"url": url})
            return False
        self._thread = Thread(target=self._run, args=(url, shown), name="cancel requests", daemon=True)
        self._thread.start()
        return True

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, url: str, shown: str) -> None:
        try:
            self._hear(url, shown)
        except (OSError, WebSocketException, DeliveryFailed) as error:
            # Whoever performs subscribes again, with a login that is new where it has to be.
            logger.warning("requests to cancel are not heard", extra={"url": url, "reason": str(error)})

    def _hear(self, url: str, shown: str) -> None:
        context = web_login.context(self._worklist) if url.startswith("wss:") else None
        headers = {"Authorization": shown} if shown else {}
        with connect(
            url,
            ssl=context,
            additional_headers=headers,
            open_timeout=CONNECT_TIMEOUT_S,
            max_size=LONGEST_EVENT,
            proxy=None,
        ) as socket:
            while not self._stop.is_set():
                try:
                    told = cancel_request(socket.recv(timeout=LISTEN_S))
                except TimeoutError:
                    continue
                if told is not None:
                    self._heard(*told)


def cancel_request(message: str | bytes) -> tuple[str, str] | None:
    """Return UID and reason of an event that asks to cancel an item; None for every other."""
    try:
        told = json.loads(message)
        told = told[0] if isinstance(told, list) else told
        if _value(told, EVENT_TYPE) != CANCEL_REQUESTED:
            return None
        return str(_value(told, SOP_INSTANCE)), str(_value(told, REASON) or "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _value(told: dict[str, dict[str, list[object]]], tag: str) -> object:
    return (told.get(tag, {}).get("Value") or [None])[0]


def _is_of(url: str, worklist: Worklist) -> bool:
    """Whether a WebSocket is of the worklist's own server, and as secret."""
    try:
        theirs, ours = urlsplit(url), urlsplit(worklist.url)
        same = (theirs.hostname, theirs.port or PORTS[theirs.scheme]) == (
            ours.hostname,
            ours.port or PORTS[ours.scheme],
        )
    except (ValueError, LookupError):
        return False
    return same and theirs.scheme == ("wss" if ours.scheme == "https" else "ws")
