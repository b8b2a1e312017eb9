"""Runs work that is the same for every slice on all cores; what numpy does there lets other threads run."""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def for_each(count: int, work: Callable[[int], None]) -> None:
    """Call ``work`` with every number below ``count``, in no order."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="lungs") as pool:
        deque(pool.map(work, range(count)), maxlen=0)
