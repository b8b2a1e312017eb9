"""Lanes: one thread at a time for a destination, and none waits for another's."""

import threading

import pytest

from worker.lanes import Lanes


def test_what_comes_meanwhile_is_done_by_who_is_there() -> None:
    lanes, done, waits, busy = Lanes(), [], threading.Event(), threading.Event()

    def work(job_id: int) -> None:
        busy.set()
        assert waits.wait(10)
        done.append((job_id, threading.current_thread().name))

    first = threading.Thread(target=lanes.run, args=("A", 1, work), name="first")
    first.start()
    assert busy.wait(10)
    for job_id in (2, 3, 2):
        lanes.run("A", job_id, work)
    lanes.run("B", 9, lambda job_id: done.append((job_id, "other")))
    assert done == [(9, "other")]
    waits.set()
    first.join(10)
    assert done[1:] == [(1, "first"), (2, "first"), (3, "first")]


def test_a_lane_is_free_again_after_work_that_raised() -> None:
    lanes, done = Lanes(), []
    with pytest.raises(ZeroDivisionError):
        lanes.run("A", 1, lambda _: 1 // 0)  # type: ignore[arg-type,return-value]
    lanes.run("A", 2, done.append)
    assert done == [2]
