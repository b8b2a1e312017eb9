"""Looks after the parts of a site, again and again, and keeps what it found for whoever asks."""

import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cached_property
from threading import Event

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from compose import store_check
from compose.check import Check
from compose.monitor.signs import A_ABORT, HTTP_HEAD, Beats, port_fault
from compose.settings import SiteSettings
from db import schema, tracking
from db.counts import ANALYSE, DELIVER
from db.engine import open_for_reading
from db.errors import SchemaOutdated
from dicom_node import site_file
from dicom_node.errors import OutOfSpace
from dicom_node.scheduler.dispatch import Dispatcher
from dicom_node.spool import backlog
from dicom_node.spool.folder import Spool

logger = logging.getLogger(__name__)
LOOK_EVERY_S = 2.0
# A worker is asked for a sign of life so often within the time after which it counts as stopped.
QUESTIONS_PER_LATE = 4
SCHEDULER = "scheduler"
PERFORM = "perform"
QUEUES = (ANALYSE, DELIVER)
LOCAL = "127.0.0.1"


class Watch:
    """What is known of the parts of a site.

    ``checks`` are those of the last look. The rows are read in transactions that write nothing.
    """

    def __init__(self, site: SiteSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._site = site
        self._clock = clock
        self._beats = Beats(clock)
        self._dispatcher = Dispatcher(site.worker.broker_url)
        self._asked_at: float | None = None
        self._looked_at = clock()
        self.checks: tuple[Check, ...] = (Check("monitor", False, "has just started"),)

    @cached_property
    def sessions(self) -> sessionmaker[Session]:
        """Sessions that only read."""
        return open_for_reading(self._site.db_url)

    @property
    def is_alive(self) -> bool:
        """Whether looks still come round."""
        return self._clock() - self._looked_at < self._site.monitor.late_s

    @property
    def spool(self) -> Spool:
        """The spool, with the watermark below which images are refused."""
        return Spool(self._site.node.spool_dir, low_free_mb=self._site.node.min_free_mb)

    def run(self, stop: Event) -> None:
        """Look until ``stop`` is set."""
        while not stop.is_set():
            was = {check.name: check.ok for check in self.checks}
            self.checks, self._looked_at = tuple(self._look()), self._clock()
            for check in self.checks:
                if was.get(check.name, True) != check.ok:
                    logger.log(logging.INFO if check.ok else logging.WARNING, "part", extra=_facts(check))
            stop.wait(LOOK_EVERY_S)

    def _look(self) -> Iterator[Check]:
        self._ask()
        database = self._database()
        yield database
        for name in (SCHEDULER, *QUEUES, *((PERFORM,) if self._site.has_worklist else ())):
            yield self._beating(name) if database.ok else Check(name, False, "not known: the database is away")
        yield self._listener()
        if self._site.node.web_port:
            yield _port("STOW-RS", self._host(), self._site.node.web_port, HTTP_HEAD)
        yield self._room()
        yield self._waiting()
        if self._site.node.store_url:
            yield store_check.noted_trouble(self._site.node)

    def _ask(self) -> None:
        now, pause_s = self._clock(), self._site.monitor.late_s / QUESTIONS_PER_LATE
        if self._asked_at is None or now - self._asked_at >= pause_s:
            self._asked_at = now
            for queue in QUEUES:
                # A worker beats with whatever it takes: where messages wait, a question behind them tells no more.
                if not self._dispatcher.messages(queue):
                    self._dispatcher.ask_for_beat(queue, pause_s)

    def _database(self) -> Check:
        try:
            schema.require_newest(self.sessions.kw["bind"])
            with self.sessions.begin() as session:
                leader = tracking.leadership(session)
                # A leader that resigned holds the row no longer, and its beat stands still.
                for name, beat in {SCHEDULER: leader.beat, **tracking.heartbeats(session)}.items():
                    self._beats.saw(name, beat)
        except SchemaOutdated as error:
            return Check("database", False, str(error))
        except SQLAlchemyError as error:
            return Check("database", False, f"does not answer ({type(error).__name__})")
        return Check("database", True, "answers")

    def _beating(self, name: str) -> Check:
        silent_s = self._beats.silent_s(name)
        what = {SCHEDULER: "leads and beats", PERFORM: "beats"}.get(name, "takes messages")
        if silent_s is None:
            return Check(name, False, "gave no sign of life since the monitor started")
        if silent_s > self._site.monitor.late_s:
            return Check(name, False, f"stopped: gave no sign of life for {silent_s:.0f} s")
        return Check(name, True, what)

    def _listener(self) -> Check:
        return _port("listener", self._host(), self._site.node.port, A_ABORT)

    def _host(self) -> str:
        node = self._site.node
        host = site_file.host(node, site_file.load(node.site_file))
        return LOCAL if host in {site_file.EVERYWHERE, "::"} else host

    def _room(self) -> Check:
        try:
            self.spool.check_room_for_more()
        except OutOfSpace as error:
            return Check("disk", False, str(error))
        return Check("disk", True, "images have room")

    def _waiting(self) -> Check:
        waiting = backlog.waiting(self.spool, datetime.now(UTC))
        if waiting.oldest_s > self._site.monitor.late_s:
            return Check("registration", False, f"an image has been waiting for {waiting.oldest_s:.0f} s")
        return Check("registration", True, f"{waiting.images} images wait")


def _port(name: str, host: str, port: int, greeting: bytes) -> Check:
    fault = port_fault(host, port, greeting)
    return Check(name, fault is None, fault or f"answers at {host}:{port}")


def _facts(check: Check) -> dict[str, object]:
    return {"part": check.name, "ok": check.ok, "found": check.found}
