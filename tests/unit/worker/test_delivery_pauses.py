"""Pauses between tries of a delivery: they double, up to a day."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from worker.delivery_task import pause_after
from worker.errors import PeerUnreachable
from worker.settings import WorkerSettings

GONE = PeerUnreachable("no answer")


def test_pauses_double_and_grow_to_a_day_at_most() -> None:
    pauses = [pause_after(attempts, GONE, WorkerSettings()) for attempts in range(1, 40)]
    assert pauses[:4] == [timedelta(seconds=seconds) for seconds in (5, 10, 20, 40)]
    assert pauses == sorted(pauses)
    assert max(pauses) == timedelta(days=1)


def test_no_setting_makes_a_pause_longer_than_a_day() -> None:
    with pytest.raises(ValidationError):
        WorkerSettings(delivery_retry_max_s=86_401)


def test_a_longer_pause_that_the_archive_asks_for_is_kept() -> None:
    asked = PeerUnreachable("busy", detail={"retry_after_s": 600})
    assert pause_after(1, asked, WorkerSettings()) == timedelta(minutes=10)
    assert pause_after(1, PeerUnreachable("busy", detail={"retry_after_s": 10**9}), WorkerSettings()).days == 1
