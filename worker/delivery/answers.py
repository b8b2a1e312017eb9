"""Answers to requests of ours are left to the thread that asked.

pynetdicom gives each association a thread that looks for requests of the peer, and halts it while an answer is awaited.
Where the scheduler wakes it late it looks once more all the same: it takes the answer, finds no request in it, and
drops it; who asked waits until time is up.
"""

from queue import Empty, Queue
from typing import Any

from pynetdicom import evt


class _Answers(Queue[Any]):
    """Messages for who waits for one; the association's own thread never waits."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not block:
            raise Empty
        return super().get(block, timeout)


def _keep(event: evt.Event) -> None:
    event.assoc.dimse.msg_queue = _Answers()


# For every association that we ask for: the connection is there, and nothing was said yet.
KEPT_FOR_WHO_ASKED = (evt.EVT_CONN_OPEN, _keep)
