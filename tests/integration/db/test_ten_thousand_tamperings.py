"""Rows as SQLite and Postgres return them are changed, removed, added and forged, 5,000 times each: all is seen."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Column, select
from sqlalchemy.orm import Session, sessionmaker

from db.engine import snapshot
from db.tables import Series
from db.tracking.events import CHAIN_START, chain_hash
from db.tracking.seal import ResultRows
from db.tracking.verification import judge, rows
from db.tracking.verification.rows import SeriesRows
from tests.support import audited_site
from tests.support.tampering import is_sealed, other, sealed_columns

TIMES = 5_000
OF_SERIES = {"series": "series", "study": "study", "event": "events", "instance": "images", "job": "jobs"}
OF_SERIES |= {"delivery": "deliveries"}
OF_RESULT = {"measurement": "measurements", "quality_flag": "flags", "output": "outputs", "exam": "exam"}
# By these the rows are read: with others they would be rows of another series or job. The patient of a study is
# compared with the images of all its series. What is done to them in the database, test_every_column sees.
BY_QUERY = {
    *(("study", name) for name in ("uid", "patient_id", "patient_name", "accession_number")),
    *((name, "job_id") for name in OF_RESULT),
    ("instance", "series_uid"),
}
REMADE = {"sequence", "series_uid", "previous_hash", "hash"}
COLUMNS = [
    column
    for column in sealed_columns()
    if column.table.name in OF_SERIES | OF_RESULT and (column.table.name, column.name) not in BY_QUERY
]
Tampered = SeriesRows | None
Heads = dict[str, dict[int, str]]


def lists(one: SeriesRows, table: str, dice: random.Random) -> tuple[list[Any], Callable[[list[Any]], SeriesRows]]:
    """Return the rows of a table, those of one job where they are its results, and what puts others in their place."""
    if table in OF_SERIES:
        name = OF_SERIES[table]
        single = name in {"series", "study"}
        found = [getattr(one, name)] if single else list(getattr(one, name))
        return found, lambda new: replace(one, **{name: (new or [None])[0] if single else new})
    if not one.results:
        return [], lambda _: one
    job_id, name = dice.choice(list(one.results)), OF_RESULT[table]
    result: ResultRows = one.results[job_id]
    single = name == "exam"
    found = [row for row in ([result.exam] if single else getattr(result, name)) if row is not None]
    return found, lambda new: replace(
        one, results=one.results | {job_id: replace(result, **{name: (new or [None])[0] if single else new})}
    )


def copy(row: Any, **changes: Any) -> Any:
    return SimpleNamespace(**(dict(row._mapping) if hasattr(row, "_mapping") else vars(row)) | changes)


def value_changed(one: SeriesRows, dice: random.Random) -> Tampered:
    column: Column[Any] = dice.choice(COLUMNS)
    found, put = lists(one, column.table.name, dice)
    if not found:
        return None
    at = dice.randrange(len(found))
    if not is_sealed(column, found[at]):
        return None
    found[at] = copy(found[at], **{column.name: other(column, getattr(found[at], column.name), dice)})
    return put(found)


def row_removed(one: SeriesRows, dice: random.Random) -> Tampered:
    found, put = lists(one, dice.choice([*OF_SERIES, *OF_RESULT]), dice)
    if not found:
        return None
    del found[dice.randrange(len(found))]
    return put(found)


def row_added(one: SeriesRows, dice: random.Random) -> Tampered:
    table = dice.choice(["event", "instance", "job", "delivery", "measurement", "quality_flag", "output"])
    found, put = lists(one, table, dice)
    if not found:
        return None
    more = copy(dice.choice(found))
    for name in ("id", "sequence"):
        if hasattr(more, name):
            setattr(more, name, 10_000 + dice.randrange(1000))
    changed = put([*found, more])
    return (
        replace(changed, results=changed.results | {more.id: changed.results[found[0].id]})
        if table == "job"
        else changed
    )


def rows_exchanged(one: SeriesRows, dice: random.Random) -> Tampered:
    """Exchange the places of two events."""
    if len(one.events) < 3:
        return None
    events = list(one.events)
    at = dice.randrange(len(events) - 1)
    first, second = events[at], events[at + 1]
    events[at], events[at + 1] = copy(second, sequence=first.sequence), copy(first, sequence=second.sequence)
    return replace(one, events=events)


def forged(one: SeriesRows, dice: random.Random) -> Tampered:
    """Change an event and write every hash after it anew."""
    changed = value_changed_of_event(one, dice)
    return replace(changed, events=hashed_anew(changed.events))


def value_changed_of_event(one: SeriesRows, dice: random.Random) -> SeriesRows:
    column = dice.choice([c for c in COLUMNS if c.table.name == "event" and c.name not in REMADE])
    events = list(one.events)
    at = dice.randrange(len(events))
    events[at] = copy(events[at], **{column.name: other(column, getattr(events[at], column.name), dice)})
    return replace(one, events=events)


def cut_off(one: SeriesRows, dice: random.Random) -> Tampered:
    """Take the last events away, and with them whatever they tell of: what is left is a whole chain."""
    events = list(one.events[: dice.randrange(1, len(one.events))])
    known = {(event.subject, event.subject_id): event for event in events}
    states = {key: event.to_state for key, event in known.items()}
    jobs = [copy(job, state=states["job", str(job.id)]) for job in one.jobs if ("job", str(job.id)) in states]
    sent = [d for d in one.deliveries if ("delivery", str(d.id)) in states]
    deliveries = [copy(d, state=states["delivery", str(d.id)]) for d in sent]
    results = {job.id: one.results[job.id] for job in jobs}
    series = copy(one.series, state=states["series", one.uid])
    return replace(one, events=events, jobs=jobs, deliveries=deliveries, results=results, series=series)


def hashed_anew(events: Any) -> list[Any]:
    found, previous = [], CHAIN_START
    for event in events:
        new = copy(event, previous_hash=previous)
        new.hash = previous = chain_hash(new)
        found.append(new)
    return found


WAYS: list[tuple[Callable[[SeriesRows, random.Random], Tampered], int]] = [
    (value_changed, 70),
    (row_removed, 8),
    (row_added, 8),
    (rows_exchanged, 4),
    (forged, 5),
    (cut_off, 5),
]


@pytest.fixture
def site(sessions: sessionmaker[Session]) -> list[SeriesRows]:
    audited_site.fill(sessions)
    with snapshot(sessions) as session:
        return list(rows.read(session, session.scalars(select(Series.uid).order_by(Series.uid)).all()))


def heads_of(site: list[SeriesRows]) -> Heads:
    return {one.uid: {one.events[-1].sequence: one.events[-1].hash} for one in site}


def test_of_ten_thousand_tamperings_none_stays_unseen(site: list[SeriesRows]) -> None:
    dice, made, unseen, heads = random.Random(7), Counter[str](), [], heads_of(site)
    assert [list(judge.faults(one, heads[one.uid])) for one in site] == [[]] * len(site)
    ways, weights = zip(*WAYS, strict=True)
    while made.total() < TIMES:
        (way,) = dice.choices(ways, weights)
        one = dice.choice(site)
        tampered = way(one, dice)
        if tampered is None:
            continue
        made[way.__name__] += 1
        if next(judge.faults(tampered, heads[one.uid]), None) is None:
            unseen.append((way.__name__, one.uid, difference(one, tampered)))
    assert unseen == []
    print(f"{made.total()} tamperings, none unseen: {dict(made)}")


def difference(one: SeriesRows, tampered: SeriesRows) -> str:
    """Return in words what was changed."""
    return "; ".join(
        f"{name}: {before} → {after}"
        for name in ("series", "study", "events", "images", "jobs", "deliveries", "results")
        if (before := getattr(one, name)) is not (after := getattr(tampered, name))
    )


def test_only_anchors_show_a_cut_that_takes_its_rows_along(site: list[SeriesRows]) -> None:
    (one,) = [one for one in site if one.uid == audited_site.uid(8)]
    tampered = replace(one, events=one.events[:1], series=copy(one.series, state="receiving", code=None, detail={}))
    assert list(judge.faults(tampered)) == []
    assert list(judge.faults(tampered, heads_of(site)[one.uid])) == [f"series {one.uid} has 1 events, 2 were anchored"]
