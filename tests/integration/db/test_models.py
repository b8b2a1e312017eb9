"""The model that several workers load when they start together is kept once, and none of them fails."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tables import Model
from db.tracking import ModelIdentity

MODEL = ModelIdentity("m" * 64, "unet", "1", {})
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_two_workers_that_start_together_keep_the_model_once(sessions: sessionmaker[Session]) -> None:
    def register() -> None:
        with sessions.begin() as session:
            tracking.register_model(session, MODEL, NOW)

    with ThreadPoolExecutor(1) as other:
        with sessions.begin() as session:
            tracking.register_model(session, MODEL, NOW)
            waits = other.submit(register)
            # It has looked, found none, and waits for what this transaction becomes.
            time.sleep(0.5)
            assert not waits.done()
        waits.result(timeout=30)
    with sessions.begin() as session:
        assert session.scalars(select(Model.digest)).all() == [MODEL.digest]
