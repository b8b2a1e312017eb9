"""``make scale``: several processes of each kind on one spool, database and broker. Is anything lost or doubled?

Two listeners take the series in turn, two schedulers stand ready and one leads, several workers measure; Orthanc notes
each time that it stores an object. The same is done with one worker, and the times stand beside each other.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from sqlalchemy import func, select

from db import schema, tracking
from db.engine import open_database
from db.states import JobState
from db.tables import Event, Instance, Job
from tests.support import guarded, killable_delivery, node_senders, same_chest, servers, services
from tests.support.same_chest import Chest

LISTENERS = SCHEDULERS = 2
# Far more than a series needs; one that is stuck ends the trial all the same.
LONGEST_S_A_SERIES, LONGEST_START_S = 60, 300
LEADS = "this scheduler leads"


@dataclass(frozen=True)
class Figures:
    """What a site did: seconds from the first image sent to the last result delivered, jobs of each worker, faults."""

    series: int
    seconds: float
    jobs: Counter[str]
    leaders: int
    amiss: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return it in words."""
        each = ", ".join(str(count) for _, count in self.jobs.most_common())
        rate = 3600 * self.series / self.seconds
        return (
            f"{len(self.jobs)} workers: {self.series} series in {self.seconds:.0f} s, {rate:.0f} an hour; "
            f"each did {each}; {self.leaders} of {SCHEDULERS} schedulers led; amiss: {len(self.amiss)}"
        )


class ScaledSite:
    """The processes of a site on folders and servers that all of them share; ``parts`` are those of ours, by name."""

    database_settings: tuple[str, ...] = ()
    worker_program = "scleroscan"
    objects = 4

    def __init__(self, folder: Path, archive: services.Orthanc, workers: int) -> None:
        self.folder = folder
        (folder / "postgres").mkdir()
        self.database, self.db_url = servers.postgres(folder / "postgres", *self.database_settings)
        self.broker, self.broker_url = servers.broker(folder)
        (folder / "site.toml").write_text(killable_delivery.SITE.format(url=archive.destination))
        self._environ = os.environ | {
            "DB_URL": self.db_url,
            "WORKER_BROKER_URL": self.broker_url,
            "WORKER_RESULTS_DIR": str(folder / "results"),
            "DICOM_NODE_SPOOL_DIR": str(folder / "spool"),
            "DICOM_NODE_SITE_FILE": str(folder / "site.toml"),
            "DICOM_NODE_HOST": "127.0.0.1",
            "DICOM_NODE_QUIET_S": "2",
            "DICOM_NODE_STUDY_WAIT_S": "0",
        }
        self.ports = [services.free_port() for _ in range(LISTENERS)]
        self.parts = {f"listen-{number}": self._listener(port) for number, port in enumerate(self.ports)}
        commands = {f"schedule-{number}": ("schedule",) for number in range(SCHEDULERS)}
        commands |= {f"work-{number}": ("work", "--queue", "analyse") for number in range(workers)}
        commands["deliver"] = ("work", "--queue", "deliver")
        self.parts |= {name: self.part(name, *words) for name, words in commands.items()}

    def start(self) -> None:
        """Start everything, with tables in the database."""
        self.database.start()
        self.prepare()
        for server in (self.broker, *self.parts.values()):
            server.start()
        loaded = partial(self._count, "work-*.log", "model loaded")
        workers = len(list(self.folder.glob("work-*.log")))
        services.wait_until(lambda: loaded() == workers, LONGEST_START_S, "workers with their models")

    def prepare(self) -> None:
        """Make the tables."""
        schema.upgrade(self.db_url)

    def leaders(self) -> int:
        """Return how many schedulers have led."""
        return self._count("schedule-*.log", LEADS)

    def stop(self) -> None:
        """End everything."""
        for server in (*self.parts.values(), self.broker):
            server.stop()
        self.database.stop(signal.SIGINT)

    def _listener(self, port: int) -> servers.Server:
        answers = partial(services.port_answers, port)
        return self.part(f"listen-{port}", "listen", answers=answers, DICOM_NODE_PORT=str(port))

    def part(self, name: str, *words: str, answers: object = None, **environ: str) -> servers.Server:
        """Return a process of the site that is yet to be started; its name is that of its log."""
        program = self.worker_program if name.startswith("work-") else "scleroscan"
        command = [sys.executable, "-m", program, *words]
        options: Mapping[str, object] = {"env": self._environ | environ}
        ready = answers if callable(answers) else lambda: True
        return servers.Server(command, self.folder / f"{name}.log", ready, options)

    def _count(self, logs: str, words: str) -> int:
        return sum(words in path.read_text() for path in self.folder.glob(logs))


@contextmanager
def running(folder: Path, workers: int, kind: type[ScaledSite] = ScaledSite) -> Iterator[tuple[ScaledSite, Chest]]:
    """Run a site that delivers to an Orthanc which notes what it stores; yield it with the chest to be copied."""
    folder.chmod(0o755)  # the account of Postgres has to walk through it
    note, stored = folder / "note.lua", folder / "stored.txt"
    note.write_text(killable_delivery.NOTE_STORED.format(path=f'"{stored}"'))
    stored.touch()
    chest = Chest(folder / "chest")
    with services.orthanc(folder / "orthanc", LuaScripts=[str(note)]) as archive:
        site = kind(folder, archive, workers)
        try:
            site.start()
            yield site, chest
        finally:
            site.stop()


def run(folder: Path, series: int, workers: int) -> Figures:
    """Have a site of ``workers`` workers measure as many copies of a chest, and look at what came of them."""
    with running(folder, workers) as (site, chest):
        images = [chest.write(folder / "sent" / str(number), number) for number in range(series)]
        begun = time.monotonic()
        with ThreadPoolExecutor(LISTENERS) as senders:
            list(senders.map(partial(_send, site, images), range(series)))
        _wait(site, series)
        seconds, jobs, amiss = time.monotonic() - begun, *look(site, series, chest.slices)
        return Figures(series, seconds, jobs, site.leaders(), amiss)


def _send(site: ScaledSite, images: list[Path], number: int) -> None:
    node_senders.storescu_succeeds(site.ports[number % LISTENERS], images[number])


def _wait(site: ScaledSite, series: int) -> None:
    sessions = open_database(site.db_url)
    deadline = time.monotonic() + LONGEST_S_A_SERIES * series
    delivered = select(func.count()).select_from(Job).where(Job.state == JobState.DELIVERED)
    done = 0
    while done < series and time.monotonic() < deadline:
        time.sleep(0.5)
        with sessions.begin() as session:
            done = session.scalars(delivered).one()
    sessions.kw["bind"].dispose()


def look(site: ScaledSite, series: int, slices: int) -> tuple[Counter[str], list[str]]:
    """Return the jobs of each worker, and whatever is not there once."""
    sessions = open_database(site.db_url)
    with sessions.begin() as session:
        jobs = session.execute(select(Job.series_uid, Job.state, Job.attempt)).all()
        images = session.scalars(select(func.count()).select_from(Instance)).one()
        took = select(Event.who).where(Event.subject == "job", Event.to_state == JobState.RUNNING, Event.code.is_(None))
        workers = Counter(session.scalars(took))
    amiss = [one.fault for one in tracking.verify_site(sessions).faults]
    sessions.kw["bind"].dispose()
    expected = Counter((same_chest.series_uid(number), JobState.DELIVERED, 1) for number in range(series))
    amiss += [f"job {job}" for job in (expected - Counter(map(tuple, jobs))) + (Counter(map(tuple, jobs)) - expected)]
    amiss += [f"{images} images of {series * slices}"] if images != series * slices else []
    stored = killable_delivery.times_stored(site.folder)
    amiss += [f"{uid} was stored {times} times" for uid, times in stored.items() if times != 1]
    amiss += [f"{len(stored)} objects of {series * site.objects}"] if len(stored) != series * site.objects else []
    return workers, amiss


def main() -> int:
    """Run with one worker and with several, print the figures, and fail where something is amiss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--alone", type=int, default=20, help="series for the one worker beside")
    asked, console, faults = parser.parse_args(), Console(), 0
    for series, workers in ((asked.alone, 1), (asked.series, asked.workers)):
        with tempfile.TemporaryDirectory(prefix="scleroscan-scale-") as name:
            figures = run(Path(name), series, workers)
        console.print(figures.line())
        for amiss in figures.amiss[:20]:
            console.print(amiss)
        faults += len(figures.amiss)
    with suppress(OSError):
        console.print(f"load average {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(guarded.run(main))
