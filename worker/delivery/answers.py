"""Keeps the answer to a request of ours for the thread that sent the request.

pynetdicom gives each association a thread that looks for requests of the peer, and halts it while an answer is awaited.
Where the operating system wakes that thread late, it looks once more: it takes the answer, finds no request in it, and
drops it, and the thread that sent the request waits until its time is up. See docs/decisions/0024.
"""

from queue import Empty, Queue
from typing import Any

from pynetdicom import evt


class _Answers(Queue[Any]):
    """A queue that gives a message only to a thread that waits for one; pynetdicom's own thread never waits."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not block:
            raise Empty
        return super().get(block, timeout)


def _keep(event: evt.Event) -> None:
    event.assoc.dimse.msg_queue = _Answers()


# The handler for every association that we open: when the connection is open, no message has come yet.
KEPT_FOR_WHO_ASKED = (evt.EVT_CONN_OPEN, _keep)
