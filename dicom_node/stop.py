"""An event that a signal handler may set."""

import signal
from queue import Empty, SimpleQueue
from threading import Event
from typing import Self


class Stop(Event):
    """Asks a part to end.

    A handler runs amid whatever the main thread does. That may be a wait for this very event, which holds the lock
    that :meth:`threading.Event.set` waits for: such a part would hang. The queue takes no lock that Python code holds.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: SimpleQueue[None] = SimpleQueue()
        self._is_set = False

    @classmethod
    def on(cls, *numbers: signal.Signals) -> Self:
        """Return one that these signals set from now on."""
        stop = cls()
        for number in numbers:
            signal.signal(number, lambda *_: stop.set())
        return stop

    def set(self) -> None:
        """Set it; from a signal handler as well."""
        self._is_set = True
        self._said.put(None)

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or for some seconds, and return whether it is set."""
        if not self._is_set:
            try:
                self._said.get(timeout=timeout)
            except Empty:
                return self._is_set
            # For whoever else waits.
            self._said.put(None)
        return True

    def clear(self) -> None:
        """Refuse: who was asked to end ends."""
        raise NotImplementedError
