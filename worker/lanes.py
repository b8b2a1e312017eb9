"""Lanes: at any time one thread works for a destination, so that one in trouble never delays another."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock


class Lanes:
    """Jobs that wait for a destination wait for the thread that works for it, and take no thread of their own.

    With more threads than destinations there is always one for a destination that has none.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: dict[str, OrderedDict[int, None]] = {}

    def run(self, destination: str, job_id: int, work: Callable[[int], None]) -> None:
        """Do the work for a job now, and then for those that came meanwhile; or leave it to the thread that does.

        Where the work raises, what came meanwhile is left: the scheduler wakes a worker for it again.
        """
        if not self._enter(destination, job_id):
            return
        is_empty = False
        try:
            while (next_id := self._next(destination)) is not None:
                work(next_id)
            is_empty = True
        finally:
            if not is_empty:
                with self._lock:
                    del self._waiting[destination]

    def _enter(self, destination: str, job_id: int) -> bool:
        with self._lock:
            lane = self._waiting.get(destination)
            if lane is None:
                self._waiting[destination] = OrderedDict({job_id: None})
                return True
            lane.setdefault(job_id)
            return False

    def _next(self, destination: str) -> int | None:
        with self._lock:
            lane = self._waiting[destination]
            if lane:
                return lane.popitem(last=False)[0]
            # Left under the lock: a job that comes from now on finds no lane, and makes one.
            del self._waiting[destination]
            return None
