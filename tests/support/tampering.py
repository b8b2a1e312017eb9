"""Changes rows as somebody does who owns the database: no trigger and no reference holds them."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import StrEnum
from types import SimpleNamespace
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Enum,
    Float,
    Integer,
    String,
    Table,
    create_engine,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError

from db.states import DeliveryState
from db.tables import Base

# What no event knows: leases, schedules and the count of tries of work that goes on; the votes of schedulers; requests
# of modalities, which no result rests upon; and the row number of an output, where nothing refers to it.
UNSEALED = {
    *((table.name, column.name) for table in Base.metadata.sorted_tables for column in table.columns if table.name in {
        "commitment", "commitment_reference", "leader", "heartbeat", "audit_feed",
    }),
    *(("job", name) for name in ("stage", "attempts_forgiven", "due_at", "lease_until", "notified_at")),
    *(("delivery", name) for name in ("attempts", "due_at", "notified_at", "code", "transaction_uid", "resent")),
    *(("delivery", name) for name in ("proof_tries", "proof_due_at")),
    ("output", "id"),
    *(("workitem", name) for name in ("trouble", "attempts", "due_at", "troubled_since", "fetched_at", "subscribed")),
}  # fmt: skip


def sealed_columns() -> list[Column[Any]]:
    """Return the columns whose every change has to be seen."""
    every = (column for table in Base.metadata.sorted_tables for column in table.columns)
    return [column for column in every if (column.table.name, column.name) not in UNSEALED]


def is_sealed(column: Column[Any], row: Any) -> bool:
    """Whether a change of a column that is sealed has to be seen in this row: not the reason of an object just sent."""
    return (column.table.name, column.name) != ("delivery", "reason") or row.state != DeliveryState.SENT


def other(column: Column[Any], value: Any, dice: random.Random) -> Any:
    """Return another value that the column can hold; where it may be NULL, sometimes that."""
    if value is None:
        return _some(column)
    if column.nullable and dice.random() < 0.1:
        return None
    (change,) = [change for kind, change in CHANGES if type(value) is kind] or [_other_word]
    return change(value, dice)


def _other_word(value: StrEnum, dice: random.Random) -> StrEnum:
    return dice.choice([one for one in type(value) if one != value])


def _mistyped(value: str, dice: random.Random) -> str:
    at = dice.randrange(max(1, len(value)))
    return value[:at] + ("7" if value[at : at + 1] != "7" else "8") + value[at + 1 :]


CHANGES: tuple[tuple[type, Callable[[Any, random.Random], Any]], ...] = (
    (bool, lambda value, _: not value),
    (int, lambda value, dice: value + dice.choice((1, 2, 1000))),
    (float, lambda value, dice: value + dice.choice((1e-9, 0.5, 10.0))),
    (datetime, lambda value, dice: value + timedelta(microseconds=dice.choice((1, -1, 60_000_000)))),
    (dict, lambda value, dice: value | {"x": dice.random()}),
    (list, lambda value, dice: [*value, dice.randrange(1000)]),
    (str, _mistyped),
)


def _some(column: Column[Any]) -> Any:
    kinds = ((Enum, None), (String, "x"), (Boolean, True), (Integer, 1), (Float, 1.0))
    for kind, value in kinds:
        if isinstance(column.type, kind):
            return value
    return {"x": 1} if column.type.__class__.__name__ == "JSON" else datetime.fromisoformat("2026-01-05T08:00:00+00:00")


@contextmanager
def unguarded(url: str) -> Iterator[Connection]:
    """Connect as the owner of the database who has switched its guards off; what is done is committed at once."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        _switch_off(engine, connection)
        yield connection
    engine.dispose()


def _switch_off(engine: Engine, connection: Connection) -> None:
    if engine.dialect.name == "postgresql":
        connection.execute(text("SET session_replication_role = replica"))
        return
    for name in ("event_never_updated", "event_never_deleted"):
        connection.execute(text(f"DROP TRIGGER {name}"))


def change_one(connection: Connection, column: Column[Any], row: Any, dice: random.Random) -> Callable[[], None]:
    """Give one row another value, and return what takes that back."""
    table, before = column.table, getattr(row, column.name)
    while True:
        after = other(column, before, dice)
        try:
            connection.execute(update(table).where(key_of(table, row)).values({column: after}))
        except IntegrityError:
            # Another row has this key: another value, then.
            continue
        now = SimpleNamespace(**(row._asdict() | {column.name: after}))
        return lambda: connection.execute(update(table).where(key_of(table, now)).values({column: before}))


def key_of(table: Table, row: Any) -> Any:
    """Return the condition for one row."""
    conditions = [column == getattr(row, column.name) for column in table.primary_key]
    first, *more = conditions
    for one in more:
        first &= one
    return first
