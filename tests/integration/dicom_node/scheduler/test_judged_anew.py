"""A skipped series is judged anew once its rule is mended: when it is sent again, or where an operator asks for it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import audit, tracking
from dicom_node.scheduler.dispatch import Dispatcher
from dicom_node.scheduler.scheduler import Scheduler
from dicom_node.series.rules import Routing
from dicom_node.spool.folder import Spool
from tests.integration.dicom_node.scheduler.test_scheduler import TERMS, keep, spool
from tests.support.node_senders import ct_slice, series_uid

__all__ = ["spool"]
Sessions = sessionmaker[Session]
WRONG = Routing.model_validate({"rule": [{"name": "all of CT", "action": "skip", "modality": ["CT"]}]})
MENDED = Routing.model_validate({"rule": []})


def keep_all(spool: Spool) -> None:
    for number in range(12):
        keep(spool, ct_slice(number))


def tick(spool: Spool, sessions: Sessions, routing: Routing, minutes: int) -> None:
    """Start a scheduler anew, which reads the rules, and let it come round once."""
    one = Scheduler(spool, sessions, Dispatcher("memory://"), replace(TERMS, routing=routing))
    one.tick(datetime.now(UTC) + timedelta(minutes=minutes))


def state(sessions: Sessions) -> tuple[str, int | None]:
    with sessions.begin() as session:
        (row,) = audit.status(session)
    return row.series_state, row.job_id


def reconsider(spool: Spool, sessions: Sessions) -> None:
    with sessions.begin() as session:
        tracking.reconsider(session, series_uid(), "operator:anna", datetime.now(UTC) + timedelta(minutes=2))


@pytest.mark.parametrize("ask", [lambda spool, _sessions: keep_all(spool), reconsider], ids=["sent again", "asked"])
def test_a_skipped_series_is_judged_anew(
    spool: Spool, sessions: Sessions, ask: Callable[[Spool, Sessions], None]
) -> None:
    keep_all(spool)
    tick(spool, sessions, WRONG, 1)
    assert state(sessions) == ("skipped", None)
    tick(spool, sessions, MENDED, 2)
    assert state(sessions) == ("skipped", None)
    ask(spool, sessions)
    tick(spool, sessions, MENDED, 3)
    closed, job_id = state(sessions)
    assert closed == "complete"
    assert job_id is not None
    with sessions.begin() as session:
        assert tracking.verify_chain(session, series_uid()) is None


def test_judged_by_the_same_rule_it_is_skipped_again(spool: Spool, sessions: Sessions) -> None:
    keep_all(spool)
    tick(spool, sessions, WRONG, 1)
    keep_all(spool)
    tick(spool, sessions, WRONG, 2)
    assert state(sessions) == ("skipped", None)
