"""A thousand series through a whole site: is the last as cheap as the first, and what do queue and database cost?

All copies show one chest, and the workers segment it once: what is left is what each series costs beside the network.
"""

import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Semaphore, Thread

import psycopg
import redis
from sqlalchemy import make_url

from tests import scale_out
from tests.bench.figures import Row, processor_s
from tests.support import node_senders, servers
from tests.support.same_chest import Chest

WORKERS = 3
# So many are on their way at a time: each tenth of a run has the same to do.
ON_THE_WAY = 30
ROLES = {"schedule": "scheduler", "work": "workers", "deliver": "delivery"}
PARTS = {"listen": "listeners", **ROLES}
COUNTED = r"SELECT rolname, query, calls FROM pg_stat_statements JOIN pg_roles ON pg_roles.oid = userid"
ENVELOPE = re.compile(r"BEGIN|COMMIT|ROLLBACK|SELECT \$1$")
WHAT = re.compile(r"(SELECT\b.*?\bFROM|INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)", re.DOTALL)
DONE = "SELECT count(*) FROM job WHERE state = 'delivered'"


class CountedSite(scale_out.ScaledSite):
    """Each kind of process has an account of its own at the database, which counts the statements of each."""

    database_settings = ("shared_preload_libraries=pg_stat_statements", "pg_stat_statements.max=10000")
    worker_program = "tests.support.remembering_worker"
    # Without the page: a thousand of them are ten gigabytes.
    objects = 3

    def prepare(self) -> None:
        """Make the tables and the accounts."""
        super().prepare()
        self.ask("CREATE EXTENSION pg_stat_statements")
        for role in ROLES:
            self.ask(f"CREATE ROLE {role} SUPERUSER LOGIN")

    def part(self, name: str, *words: str, answers: object = None, **environ: str) -> servers.Server:
        """Return a process with its account."""
        kind = name.partition("-")[0]
        own = make_url(self.db_url).set(username=kind).render_as_string()
        environ |= {"WORKER_PAGE": "false"} | ({"DB_URL": own} if kind in ROLES else {})
        return super().part(name, *words, answers=answers, **environ)

    def ask(self, query: str) -> list[tuple[object, ...]]:
        """Ask the database; an account of our own is not counted."""
        with psycopg.connect(self.db_url.replace("+psycopg", ""), autocommit=True) as connection:
            asked = connection.execute(query)
            return asked.fetchall() if asked.description else []

    def messages(self, queue: str) -> int:
        """Return how many messages of a queue no worker has taken."""
        with redis.Redis.from_url(self.broker_url) as client:
            return int(client.llen(queue))

    def spent(self) -> dict[str, float]:
        """Return the processor seconds of each kind of process."""
        found: Counter[str] = Counter()
        named = {**self.parts, "Postgres": self.database, "Redis": self.broker}
        for name, server in named.items():
            if server.process is not None and server.is_running():
                kind = name.partition("-")[0]
                found[PARTS.get(kind, kind)] += processor_s(server.process.pid)
        return dict(found)


@dataclass(frozen=True)
class Sample:
    """What was spent until a moment: seconds of a clock, processor seconds by kind, statements by (role, what)."""

    at: float
    processor_s: Mapping[str, float]
    statements: Counter[tuple[str, str]]

    @classmethod
    def of(cls, site: CountedSite) -> "Sample":
        """Look now."""
        statements: Counter[tuple[str, str]] = Counter()
        for role, query, calls in site.ask(COUNTED):
            if role in ROLES:
                statements[ROLES[str(role)], what(str(query))] += int(str(calls))
        return cls(time.monotonic(), site.spent(), statements)

    def since(self, before: "Sample", per: float | None = None) -> dict[str, float]:
        """Return what was spent since another, for one of ``per`` series, or else a second."""
        seconds = self.at - before.at
        many = per or seconds
        spent = {
            f"{kind}, ms": 1000 * (s - before.processor_s.get(kind, 0.0)) / many for kind, s in self.processor_s.items()
        }
        made = self.statements - before.statements
        asked = {
            f"statements of {role}": sum(n for (who, _), n in made.items() if who == role) / many
            for role in ROLES.values()
        }
        return spent | asked


def what(query: str) -> str:
    """Return what a statement does to which table; ``pg_stat_statements`` has it without its values."""
    if ENVELOPE.match(query):
        return "transactions and pings"
    found = WHAT.match(query)
    if found is None:
        return query.split("(", maxsplit=1)[0].strip()[:40]
    return f"{found[1].split()[0]} {found[2]}{' FOR UPDATE' if 'FOR UPDATE' in query else ''}"


def measured(folder: Path, series: int, rest_s: float = 60.0) -> dict[str, list[Row]]:
    """Return the rows of each table: idle, by tenths of the run, statements of one series, work that waits.

    ``rest_s`` is for how long a site that rests is looked at.
    """
    with scale_out.running(folder, WORKERS, CountedSite) as (site, chest):
        assert isinstance(site, CountedSite)
        time.sleep(5)
        found = {"idle": list(_by_the_second(site, rest_s, 1))}
        samples = list(_through(site, chest, series))
        found["tenths"] = list(_tenths(samples, series))
        found["statements"] = list(_statements(samples, series))
        _, amiss = scale_out.look(site, series, chest.slices)
        assert not amiss, amiss
        found["waiting"] = list(_waiting(site, chest, series, rest_s))
    return found


def _through(site: CountedSite, chest: Chest, series: int) -> Iterator[Sample]:
    """Send series, a few ahead of those that are delivered; yield a sample at each tenth."""
    room, begun = Semaphore(ON_THE_WAY), Sample.of(site)
    sender = Thread(target=_send, args=(site, chest, range(series), room), daemon=True)
    sender.start()
    yield begun
    done, tenth = 0, 1
    while tenth <= 10:
        time.sleep(0.2)
        now = int(str(site.ask(DONE)[0][0]))
        room.release(now - done) if now > done else None
        done = now
        if done >= series * tenth // 10:
            yield Sample.of(site)
            tenth += 1
    sender.join()


def _send(site: CountedSite, chest: Chest, numbers: range, room: Semaphore | None = None) -> None:
    for number in numbers:
        if room is not None:
            room.acquire()
        images = chest.write(site.folder / "sent" / str(number), number)
        node_senders.storescu_succeeds(site.ports[number % len(site.ports)], images)
        shutil.rmtree(images)


def _tenths(samples: list[Sample], series: int) -> Iterator[Row]:
    each = series / 10
    for tenth, (before, after) in enumerate(pairwise(samples)):
        which = f"{tenth * each + 1:.0f} to {(tenth + 1) * each:.0f}"
        yield {"series": which, "seconds": (after.at - before.at) / each, **after.since(before, each)}


def _statements(samples: list[Sample], series: int) -> Iterator[Row]:
    made = samples[-1].statements - samples[0].statements
    for (role, what), calls in sorted(made.items(), key=lambda one: (one[0][0], -one[1])):
        if calls / series >= 0.05:
            yield {"process": role, "statement": what, "a series": calls / series}


def _by_the_second(site: CountedSite, rest_s: float, times: int) -> Iterator[Row]:
    before = Sample.of(site)
    for number in range(1, times + 1):
        time.sleep(rest_s)
        after = Sample.of(site)
        waiting = {"jobs waiting": str(site.ask("SELECT count(*) FROM job WHERE state = 'queued'")[0][0])}
        waiting["messages"] = str(site.messages("analyse"))
        yield {"after, s": f"{rest_s * number:.0f}", **waiting, **after.since(before)}
        before = after


def _waiting(site: CountedSite, chest: Chest, series: int, rest_s: float) -> Iterator[Row]:
    """Let a tenth of the series wait, with no worker there that analyses."""
    for name, server in site.parts.items():
        if name.startswith("work-"):
            server.stop()
    _send(site, chest, range(series, series + series // 10))
    time.sleep(10)
    yield from _by_the_second(site, rest_s, 3)
