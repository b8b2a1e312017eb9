"""Delivering while workers are killed at random moments: has the archive each object once, and is each row right?

``python -m tests.chaos_delivery --rounds 100`` runs it; tests run a short form. Each round has jobs delivered to an
Orthanc, and kills workers by SIGKILL while they have objects in hand, be it before, amid or after a C-STORE, or while
a proof is sought. Every object has to be in the archive once, with its content, and committed in its row.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from sqlalchemy import Select, func, select

from db import tracking
from db.states import DeliveryState, JobState
from db.tables import Delivery, Event, Job
from tests.support import guarded, killable_delivery, node_forks, services
from tests.support.killable_delivery import KINDS, DeliveringSite

JOBS = 4
# The objects of a round take about so long, at ease; a kill falls somewhere into it.
ROUND_S = 0.6
SETTLING_S = 180.0
WAY = ["pending", "sent", "committed"]


@dataclass
class Figures:
    """What happened, and what is amiss afterwards.

    ``begun_again`` counts objects that a killed worker held and another took over, ``stored_again`` those that the
    archive had already by then.
    """

    rounds: int = 0
    kills: int = 0
    objects: int = 0
    begun_again: int = 0
    stored_again: int = 0
    amiss: list[str] = field(default_factory=list)


class DeliveryChaos:
    """Rounds of delivering and killing; the same seed kills as many after the same pauses."""

    def __init__(self, site: DeliveringSite, folder: Path, seed: int) -> None:
        self._site, self._folder = site, folder
        self._random = random.Random(seed)
        self.figures = Figures()

    def run(self, rounds: int, minutes: float = 60.0) -> Figures:
        """Do the rounds, as many as begin within some minutes, let everything settle, and look."""
        until = time.monotonic() + 60 * minutes
        while self.figures.rounds < rounds and time.monotonic() < until:
            self._round(self.figures.rounds)
        self._settle()
        self._look_at_archive()
        self._look_at_rows()
        return self.figures

    def _round(self, number: int) -> None:
        # Who is killed too often to keep up gets no more to do, or the end would be far away.
        if self._waiting() < JOBS * len(KINDS):
            for job in range(JOBS):
                self._site.open_job(number * JOBS + job + 1)
        before = self._taken()
        services.wait_until(lambda: self._taken() > before, 60, "a courier with objects in hand")
        time.sleep(self._random.uniform(0, ROUND_S))
        self.figures.kills += self._site.kill(self._random)
        self.figures.rounds += 1
        self._site.start()

    def _waiting(self) -> int:
        """Return how many objects are on their way."""
        return self._number(select(func.count()).where(Delivery.state == DeliveryState.PENDING))

    def _taken(self) -> int:
        """Return how often a courier has taken an object in hand."""
        return self._number(select(func.coalesce(func.sum(Delivery.attempts), 0)))

    def _number(self, query: Select[tuple[int]]) -> int:
        with self._site.sessions.begin() as session:
            return int(session.scalars(query).one())

    def _settle(self) -> None:
        deadline = time.monotonic() + SETTLING_S
        uncommitted = select(func.count()).where(Delivery.state != DeliveryState.COMMITTED)
        while self._number(uncommitted) and time.monotonic() < deadline:
            time.sleep(0.5)

    def _look_at_archive(self) -> None:
        held = self._site.archive.request("GET", "/instances?expand")
        count = Counter(one["MainDicomTags"]["SOPInstanceUID"] for one in held)
        names = {one["MainDicomTags"]["SOPInstanceUID"]: one["ID"] for one in held}
        for sop_uid in {*self._site.files, *count}:
            if count[sop_uid] != 1 or sop_uid not in self._site.files:
                self.figures.amiss.append(f"the archive has {count[sop_uid]} of {sop_uid}")
            elif self._kept(names[sop_uid]) != _dataset(self._site.files[sop_uid].read_bytes()):
                self.figures.amiss.append(f"the archive has {sop_uid} with another content")
        stored = killable_delivery.times_stored(self._folder)
        self.figures.objects = len(self._site.files)
        self.figures.stored_again = stored.total() - len(stored)

    def _kept(self, name: str) -> bytes:
        return _dataset(self._site.archive.content("GET", f"/instances/{name}/file"))

    def _look_at_rows(self) -> None:
        with self._site.sessions.begin() as session:
            deliveries = session.scalars(select(Delivery)).all()
            undone = session.scalars(select(Job.id).where(Job.state != JobState.DELIVERED)).all()
            events = select(Event).where(Event.subject == "delivery").order_by(Event.id)
            ways: dict[str, list[str]] = {}
            for event in session.scalars(events):
                ways.setdefault(event.subject_id, []).append(event.to_state)
            self.figures.amiss += [f"delivery {one}: {way}" for one, way in ways.items() if way != WAY]
            sent = Counter(one.output.sop_uid for one in deliveries)
            self.figures.begun_again = sum(one.attempts - 1 for one in deliveries)
        self.figures.amiss += [f"job {one} is not delivered" for one in undone]
        if sent != Counter(self._site.files.keys()):
            self.figures.amiss.append("not every object has one row")
        faults = tracking.verify_site(self._site.sessions).faults
        self.figures.amiss += [one.fault for one in faults]


def _dataset(file: bytes) -> bytes:
    """Return the encoded data set of a Part 10 file: what follows its group 0002, whose length comes first."""
    return file[144 + int.from_bytes(file[140:144], "little") :]


def main() -> int:
    """Run, print the figures, and fail where something is amiss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0, help="no round begins later")
    asked = parser.parse_args()
    console, begun = Console(), time.monotonic()
    home = tempfile.TemporaryDirectory(prefix="scleroscan-chaos-")
    with home as name, node_forks.opened():
        # The account of Postgres has to walk through it.
        Path(name).chmod(0o755)
        with killable_delivery.site(Path(name)) as site:
            figures = DeliveryChaos(site, Path(name), asked.seed).run(asked.rounds, asked.minutes)
    seconds = time.monotonic() - begun
    console.print(f"{figures.rounds} rounds, seed {asked.seed}, {seconds:.0f} s; workers killed: {figures.kills}")
    console.print(f"{figures.objects} objects; begun again {figures.begun_again}, stored again {figures.stored_again}")
    console.print(f"amiss: {len(figures.amiss)}")
    for amiss in figures.amiss[:20]:
        console.print(amiss)
    return 1 if figures.amiss else 0


if __name__ == "__main__":
    sys.exit(guarded.run(main))
