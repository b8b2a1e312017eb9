"""Several listeners on one spool, several schedulers on one database: none undoes the work of another."""

import json
import os
import signal
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.tables import Instance, Job, Series
from tests.support import servers, services
from tests.support.node_senders import (
    association,
    ct_slice,
    encoded,
    header,
    send,
    series_uid,
    storescu_succeeds,
    write,
)

QUICK = {"quiet_s": 1.0, "gap_wait_s": 2.0, "settle_s": 0.5, "renotify_s": 2.0, "receivers": 1}


@contextmanager
def started(*several: servers.Server) -> Iterator[None]:
    for one in several:
        one.start()
    try:
        yield
    finally:
        for one in several:
            one.stop()


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def listeners(folder: Path) -> tuple[list[servers.Server], list[int]]:
    settings = [servers.node_settings(folder, **QUICK) for _ in range(2)]
    both = [servers.listener(made(folder / f"listener{number}"), own) for number, own in enumerate(settings)]
    return both, [own.port for own in settings]


def schedulers(folder: Path, sessions: sessionmaker[Session], broker_url: str = "memory://") -> list[servers.Server]:
    url = sessions.kw["bind"].url.render_as_string(hide_password=False)
    settings = servers.node_settings(folder, **QUICK)
    return [servers.scheduler(made(folder / f"scheduler{number}"), settings, url, broker_url) for number in range(2)]


def states(sessions: sessionmaker[Session]) -> list[str]:
    with sessions.begin() as session:
        return list(session.scalars(select(Series.state)))


def jobs(sessions: sessionmaker[Session]) -> int:
    with sessions.begin() as session:
        return len(session.scalars(select(Job.id)).all())


def test_a_listener_that_starts_removes_no_part_of_another(tmp_path: Path) -> None:
    (first, second), (port, _) = listeners(tmp_path)
    whole = encoded(ct_slice(0, side=512))
    with started(first), association(port) as opened:
        with started(second):
            assert send(opened, whole, ct_slice(0).SOPInstanceUID) == 0x0000
        assert send(opened, encoded(ct_slice(1)), ct_slice(1).SOPInstanceUID) == 0x0000
    assert len(list((tmp_path / "spool" / "new").iterdir())) == 2


def test_the_end_of_one_listener_closes_no_series_of_another(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    (first, second), ports = listeners(tmp_path)
    one, _ = schedulers(tmp_path, sessions)
    with started(first, one), association(ports[0]) as opened:
        for number in range(4):
            assert send(opened, encoded(ct_slice(number)), ct_slice(number).SOPInstanceUID) == 0x0000
        with started(second):
            write(tmp_path / "other", [ct_slice(number, series=2) for number in range(4)])
            storescu_succeeds(ports[1], tmp_path / "other")
            # The other series, sent later and quiet as long, is closed: so the first was judged as well, and kept open.
            services.wait_until(lambda: sorted(states(sessions)) == ["complete", "receiving"], 60, "the other series")
        for number in range(4, 6):
            assert send(opened, encoded(ct_slice(number)), ct_slice(number).SOPInstanceUID) == 0x0000
        opened.release()
        services.wait_until(lambda: states(sessions) == ["complete", "complete"], 60, "both series")
    with sessions.begin() as session:
        assert session.get_one(Series, series_uid()).detail["instances"] == 6


def test_when_the_leading_scheduler_is_killed_the_other_goes_on(
    tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    (listener, _), ports = listeners(tmp_path)
    both = schedulers(tmp_path, sessions)
    write(tmp_path / "ct", [ct_slice(number) for number in range(6)])
    with started(listener, *both):
        services.wait_until(lambda: holder(sessions) is not None, 30, "a leader")
        leader = next(one for one in both if f":{pid(one)}:" in str(holder(sessions)))
        leader.kill()
        storescu_succeeds(ports[0], tmp_path / "ct")
        services.wait_until(lambda: states(sessions) == ["complete"], 60, "the series")
        assert jobs(sessions) == 1
        leader.start()


def test_a_leader_that_sleeps_and_wakes_doubles_nothing(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    (listener, _), ports = listeners(tmp_path)
    both = schedulers(tmp_path, sessions)
    with started(listener, *both):
        services.wait_until(lambda: holder(sessions) is not None, 30, "a leader")
        leader = next(one for one in both if f":{pid(one)}:" in str(holder(sessions)))
        os.kill(pid(leader), signal.SIGSTOP)
        write(tmp_path / "ct", [ct_slice(number) for number in range(6)])
        storescu_succeeds(ports[0], tmp_path / "ct")
        services.wait_until(lambda: f":{pid(leader)}:" not in str(holder(sessions)), 60, "another leader")
        os.kill(pid(leader), signal.SIGCONT)
        services.wait_until(lambda: states(sessions) == ["complete"], 60, "the series")
        assert jobs(sessions) == 1
        with sessions.begin() as session:
            assert len(session.scalars(select(Instance.id)).all()) == 6
            assert tracking.verify_chain(session, series_uid()) is None


def holder(sessions: sessionmaker[Session]) -> str | None:
    with sessions.begin() as session:
        return tracking.leadership(session).holder


def pid(server: servers.Server) -> int:
    assert server.process is not None
    return server.process.pid


def test_with_no_listener_at_all_workers_are_woken(
    tmp_path: Path, sessions: sessionmaker[Session], redis_url: str
) -> None:
    one, _ = schedulers(tmp_path, sessions, redis_url)
    new = made(made(tmp_path / "spool") / "new")
    for number in range(4):
        ds = ct_slice(number)
        (new / f"{number}.dcm").write_bytes(header(ds.SOPInstanceUID) + encoded(ds))
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        with started(one):
            services.wait_until(lambda: client.llen("analyse") > 0, 60, "a wake-up")
        (words, *_) = json.loads(b64decode(json.loads(client.lindex("analyse", 0))["body"]))
    with sessions.begin() as session:
        assert words == [session.scalars(select(Job.id)).one()]


@pytest.mark.parametrize("plane", [{}, {"orientation": [1, 0], "position": [0, 0, 0], "rows": 1, "columns": 1}])
def test_a_series_that_cannot_be_judged_holds_no_other_back(
    tmp_path: Path, sessions: sessionmaker[Session], plane: dict[str, object]
) -> None:
    (listener, _), ports = listeners(tmp_path)
    one, _ = schedulers(tmp_path, sessions)
    write(tmp_path / "odd", [ct_slice(number) for number in range(4)])
    write(tmp_path / "sound", [ct_slice(number, series=2) for number in range(4)])
    with started(listener):
        with association(ports[0]) as opened:
            with started(one):
                for number in range(4):
                    assert send(opened, encoded(ct_slice(number)), ct_slice(number).SOPInstanceUID) == 0x0000
                services.wait_until(lambda: states(sessions) == ["receiving"], 60, "the first row")
            with sessions.begin() as session:
                for image in session.scalars(select(Instance)):
                    image.plane = plane or {"rows": "many"}
        storescu_succeeds(ports[0], tmp_path / "sound")
        with started(one):
            services.wait_until(lambda: "receiving" not in states(sessions) and len(states(sessions)) == 2, 60, "both")
    with sessions.begin() as session:
        odd, sound = session.get_one(Series, series_uid()), session.get_one(Series, series_uid(2))
        assert (odd.state, odd.code, sound.state) == ("incomplete", "unjudgeable", "complete")
