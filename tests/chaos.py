"""``make chaos``: kill -9 at random moments, four senders, and then: is anything lost, doubled, stuck?

Two listeners share a spool, two schedulers a database, two workers a queue. In each round four senders send a series
each; meanwhile a process, the database or the broker is killed and started again; each sender sends its whole series
again until all of it was answered 0x0000.
"""

import argparse
import hashlib
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import schema, tracking
from db.engine import open_database
from db.tables import Instance, Job, JobInstance, Series
from tests.support import guarded, node_senders, servers, services
from tests.support.node_senders import ct_slice, encoded

SENDERS = 4
SLICES = 10
# Four senders need about so long, at ease; a kill falls somewhere into it.
ROUND_S = 0.6
SETTLING_S = 180.0
VICTIMS = ("listener", "listener", "receiver", "receiver", "scheduler", "scheduler", "worker", "database", "broker")
UP_TO_QUEUED = {"quiet_s": 1.0, "gap_wait_s": 2.0, "stalled_s": 5.0, "renotify_s": 2.0, "receivers": 2}


@dataclass
class Figures:
    """What happened, and what is amiss afterwards."""

    rounds: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    sent_again: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is lost, doubled or stuck."""
        return not (self.lost or self.doubled or self.stuck)


@dataclass(frozen=True)
class Shape:
    """How many processes of each kind a site has."""

    listeners: int = 1
    schedulers: int = 1
    workers: int = 0


class Site:
    """Listeners, schedulers and workers with a database and a broker of their own, each of which can be killed."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], shape: Shape = Shape()) -> None:
        (folder / "postgres").mkdir()
        self.database, self.db_url = servers.postgres(folder / "postgres")
        self.broker, self.broker_url = servers.broker(folder)
        self.all_settings = [servers.node_settings(folder, **settings) for _ in range(shape.listeners)]
        self.settings, self.spool = self.all_settings[0], folder / "spool"
        homes = {name: folder / name for name in ("listeners", "schedulers", "workers")}
        for home in homes.values():
            home.mkdir()
        self.listeners = [
            servers.listener(_made(homes["listeners"] / str(number)), own)
            for number, own in enumerate(self.all_settings)
        ]
        self.schedulers = [
            servers.scheduler(_made(homes["schedulers"] / str(number)), self.settings, self.db_url, self.broker_url)
            for number in range(shape.schedulers)
        ]
        self.workers = [
            servers.worker(_made(homes["workers"] / str(number)), self.db_url, self.broker_url)
            for number in range(shape.workers)
        ]
        self.database.start()
        schema.upgrade(self.db_url)
        self.start()

    @property
    def listener(self) -> servers.Server:
        """The first listener."""
        return self.listeners[0]

    def start(self) -> None:
        """Start what does not run."""
        for server in (self.database, self.broker, *self.listeners, *self.schedulers, *self.workers):
            server.start()
        for listener, settings in zip(self.listeners, self.all_settings, strict=True):
            # Its port answers before all of it runs.
            children = partial(_has_children, listener, settings.receivers)
            services.wait_until(children, 60, "all receivers")

    def kill(self, victim: str, chance: random.Random) -> None:
        """Kill one process of a kind, with all that it forked; of a receiver its parent lives on."""
        kinds = {
            "listener": self.listeners,
            "receiver": self.listeners,
            "scheduler": self.schedulers,
            "worker": self.workers,
            "database": [self.database],
            "broker": [self.broker],
        }
        server = chance.choice(kinds[victim])
        if victim == "receiver":
            for pid in server.children()[:1]:
                psutil.Process(pid).send_signal(signal.SIGKILL)
        else:
            server.kill()

    def stop(self) -> None:
        """End everything."""
        for server in (*self.listeners, *self.workers, *self.schedulers, self.broker):
            server.stop()
        self.database.stop(signal.SIGINT)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _has_children(server: servers.Server, count: int) -> bool:
    return len(server.children()) == count


class Chaos:
    """Rounds of sending and killing.

    Parameters
    ----------
    folder
        For everything that is written.
    seed
        The same seed kills the same kinds after the same pauses.
    shape
        The processes of the site.
    """

    def __init__(self, folder: Path, seed: int, shape: Shape = Shape()) -> None:
        self._folder = folder
        self._random = random.Random(seed)
        self._answered: dict[str, str] = {}
        self.figures = Figures()
        self._shape = shape
        self._given_up = False
        self.site = Site(folder, UP_TO_QUEUED, shape)

    def run(self, rounds: int) -> Figures:
        """Do the rounds, let everything settle, and look."""
        for number in range(rounds):
            self._round(number)
        self._settle()
        self._look()
        return self.figures

    def _round(self, number: int) -> None:
        there = [kind for kind in VICTIMS if kind != "worker" or self._shape.workers]
        victim, pause_s = self._random.choice(there), self._random.uniform(0, ROUND_S)
        with ThreadPoolExecutor(SENDERS) as senders:
            sent = [senders.submit(self._send, number * SENDERS + sender + 1) for sender in range(SENDERS)]
            try:
                time.sleep(pause_s)
                self.site.kill(victim, self._random)
                self.site.start()
                for sending in sent:
                    sending.result()
            except BaseException:
                # The senders end before the block does.
                self._given_up = True
                raise
        self.figures.rounds += 1
        self.figures.kills[victim] += 1

    def _send(self, series: int) -> None:
        """Send a series until the whole of it was answered with success; note each image that ever was."""
        images = [ct_slice(number, series) for number in range(SLICES)]
        folder = self._folder / f"series-{series}"
        node_senders.write(folder, images)
        ports = [settings.port for settings in self.site.all_settings]
        for attempt in range(60):
            sender = node_senders.storescu(ports[(series + attempt) % len(ports)], folder, "-v", "-to", "20")
            said, _ = sender.communicate(timeout=240)
            numbers = node_senders.acknowledged_numbers(said)
            for number in numbers:
                self._answered[images[number].SOPInstanceUID] = hashlib.sha256(encoded(images[number])).hexdigest()
            # Without a release nobody has said that these were all.
            if self._given_up or (len(numbers) == SLICES and sender.returncode == 0):
                return
            self.figures.sent_again += 1
            time.sleep(0.1 * min(attempt + 1, 10))
        raise AssertionError(f"series {series} was never taken: {said[-500:]}")

    def _settle(self) -> None:
        deadline = time.monotonic() + SETTLING_S
        while self._unsettled() and time.monotonic() < deadline:
            time.sleep(0.5)
        self.figures.stuck += self._unsettled()

    def _unsettled(self) -> list[str]:
        """Name what has not come to rest: files that wait, series that are open, jobs that no message speaks of."""
        waiting = [path.name for path in (self.site.spool / "new").iterdir()]
        sessions = open_database(self.site.db_url)
        with sessions.begin() as session:
            open_series = session.scalars(select(Series.uid).where(Series.state == "receiving")).all()
            current = select(Job.id, Job.state).where(Job.state != "superseded")
            jobs = {row.id: row.state for row in session.execute(current)}
        sessions.kw["bind"].dispose()
        return [*waiting, *open_series, *self._unsettled_jobs(jobs)]

    def _unsettled_jobs(self, jobs: Mapping[int, str]) -> list[str]:
        """Name the jobs that no message speaks of; where workers run, those that none has brought to an end."""
        if self._shape.workers:
            # Eight pixels a side are no chest: the reading gate refuses each of these series.
            return [f"job {job} is {state}" for job, state in jobs.items() if state != "rejected"]
        messages = {words[0] for words in servers.wake_ups(self.site.broker_url)}
        return [f"job {job} has no message" for job in jobs if job not in messages]

    def _look(self) -> None:
        self.figures.answered = len(self._answered)
        sessions = open_database(self.site.db_url)
        with sessions.begin() as session:
            for sop_uid, digest in self._answered.items():
                self._look_at(session, sop_uid, digest)
            for series_uid in session.scalars(select(Series.uid)):
                fault = tracking.verify_chain(session, series_uid)
                self.figures.lost += [fault] if fault else []
            known = session.scalars(select(Instance.sop_uid)).all()
        sessions.kw["bind"].dispose()
        self.figures.doubled += [uid for uid, count in Counter(known).items() if count > 1]
        places = Counter(path.name for path in (self.site.spool / "series").rglob("*.dcm"))
        self.figures.doubled += [name for name, count in places.items() if count > 1]

    def _look_at(self, session: Session, sop_uid: str, digest: str) -> None:
        rows = session.scalars(select(Instance).where(Instance.sop_uid == sop_uid)).all()
        if len(rows) != 1 or rows[0].digest != digest or _digest(Path(rows[0].path)) != digest:
            self.figures.lost.append(sop_uid)
            return
        jobs = session.scalars(
            select(Job.id)
            .join(JobInstance, JobInstance.job_id == Job.id)
            .where(JobInstance.instance_id == rows[0].id, Job.state != "superseded")
        ).all()
        if len(jobs) != 1:
            (self.figures.doubled if jobs else self.figures.lost).append(f"{sop_uid} in {len(jobs)} jobs")


def _digest(path: Path) -> str:
    """SHA-256 of the data set of a Part 10 file; of nothing where there is no file."""
    if not path.is_file():
        return ""
    raw = path.read_bytes()
    return hashlib.sha256(raw[144 + int.from_bytes(raw[140:144], "little") :]).hexdigest()


def main() -> int:
    """Run, print the figures, and fail where something is amiss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    for name in ("listeners", "schedulers", "workers"):
        parser.add_argument(f"--{name}", type=int, default=2)
    asked = parser.parse_args()
    console, begun = Console(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="scleroscan-chaos-") as name:
        Path(name).chmod(0o755)  # the account of Postgres has to walk through it
        chaos = Chaos(Path(name), asked.seed, Shape(asked.listeners, asked.schedulers, asked.workers))
        figures = chaos.run(asked.rounds)
        chaos.site.stop()
    kills = ", ".join(f"{victim} {count}" for victim, count in sorted(figures.kills.items()))
    console.print(f"{figures.rounds} rounds, seed {asked.seed}, {time.monotonic() - begun:.0f} s; killed: {kills}")
    console.print(f"{figures.answered} images answered 0x0000; {figures.sent_again} times a sender had to send again")
    console.print(f"lost {len(figures.lost)}, doubled {len(figures.doubled)}, stuck {len(figures.stuck)}")
    for amiss in (*figures.lost, *figures.doubled, *figures.stuck)[:20]:
        console.print(amiss)
    return 0 if figures.is_clean else 1


if __name__ == "__main__":
    sys.exit(guarded.run(main))
