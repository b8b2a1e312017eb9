"""Subscribes to our items, so that requests to cancel them are heard; goes on without where that is not offered."""

import logging
import time
from urllib.parse import urljoin

from worker.errors import DeliveryFailed, PeerRefused
from worker.worklist.cancel_requests import CancelRequests
from worker.worklist.service import UpsService

logger = logging.getLogger(__name__)
# After a connection that ended a new one is made no sooner.
PAUSE_S = 30.0


class Subscriptions:
    """The items that this process has subscribed to.

    Parameters
    ----------
    ae_title
        Who the subscriber is.
    """

    def __init__(self, service: UpsService, requests: CancelRequests, ae_title: str) -> None:
        self._service, self._requests, self._ae_title = service, requests, ae_title
        self._uids: set[str] = set()
        self._is_refused = False
        self._again_at = 0.0

    def ensure(self, uid: str) -> bool | None:
        """Subscribe to an item, once; return whether the worklist takes that, None where it is not known."""
        if self._is_refused:
            return False
        if self._uids and not self._requests.is_listening:
            self._uids.clear()
            self._again_at = time.monotonic() + PAUSE_S
        if uid in self._uids:
            return True
        return self._subscribe(uid) if time.monotonic() >= self._again_at else None

    def _subscribe(self, uid: str) -> bool | None:
        try:
            answer = self._service.subscribe(uid, self._ae_title)
        except PeerRefused as refusal:
            self._is_refused = True
            logger.warning("the worklist takes no subscription: requests to cancel are not heard", extra=_why(refusal))
            return False
        except DeliveryFailed as failure:
            logger.info("not subscribed yet", extra=_why(failure))
            self._again_at = time.monotonic() + PAUSE_S
            return None
        if not self._requests.is_listening:
            url = self._events_at(answer.headers.get("content-location"))
            self._is_refused = not self._requests.listen(url, answer.shown)
        self._uids.add(uid)
        return not self._is_refused

    def close(self) -> None:
        """Stop listening; the subscriptions stay with the worklist."""
        self._requests.close()

    def _events_at(self, told: str | None) -> str:
        """Return where events are sent: where the worklist says so, else as PS3.18 11.12 has it."""
        base = self._service.url.replace("http", "ws", 1)
        return urljoin(f"{base}/", told) if told else f"{base}/subscribers/{self._ae_title}"


def _why(failure: DeliveryFailed) -> dict[str, object]:
    return {"code": failure.code, "reason": str(failure)}
