"""Opening the database: Postgres for a site, SQLite for one machine, the same code for both."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import DataError, DBAPIError, StatementError
from sqlalchemy.orm import Session, sessionmaker

BUSY_TIMEOUT_S = 30


def open_database(url: str) -> sessionmaker[Session]:
    """Return the maker of sessions: ``with sessions.begin() as session`` is one transaction.

    Parameters
    ----------
    url
        SQLAlchemy URL. The folder of an SQLite file is made where it is missing.
    """
    return sessionmaker(open_engine(url), expire_on_commit=False)


def open_engine(url: str) -> Engine:
    """Return the engine behind :func:`open_database`, as the migrations need it."""
    parsed = make_url(url)
    # hide_parameters: parameters may be names and ids of patients, which must not stand in the text of an error.
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True, hide_parameters=True)
    if parsed.database and parsed.database != ":memory:":
        _make_private(Path(parsed.database))
    engine = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def snapshot(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """One transaction for reading, all of whose queries see the rows as they were at its first."""
    with sessions.begin() as session:
        # SQLite's transactions see nothing else.
        if session.get_bind().dialect.name == "postgresql":
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        yield session


def open_for_reading(url: str) -> sessionmaker[Session]:
    """Return the maker of sessions that can only read, and keep no writer waiting.

    An SQLite file that is missing is not made: the first transaction fails then.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        options = {"postgresql_readonly": True}
        return sessionmaker(create_engine(parsed, pool_pre_ping=True, hide_parameters=True, execution_options=options))
    existing = parsed.set(
        database=f"file:{Path(parsed.database or '').absolute()}", query={"mode": "rw", "uri": "true"}
    )
    engine = create_engine(existing, connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite_for_reading)
    event.listen(engine, "begin", _begin_sqlite_reading)
    return sessionmaker(engine)


def _make_private(file: Path) -> None:
    """Make an SQLite file that is missing, with its folder, for its owner alone: rows name patients."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The journals beside it are made by SQLite with the same mode.
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # SQLite's driver begins a transaction at the first write, too late to protect the reads before it. With this
    # setting SQLAlchemy begins it.
    connection.isolation_level = None
    # recursive_triggers: without it INSERT OR REPLACE removes a row without the trigger that refuses it.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_sqlite_for_reading(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")


def _begin_sqlite_reading(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN")


def is_of_the_values(error: StatementError) -> bool:
    """Whether a statement failed because of a value in it; after any other failure it may succeed when tried again."""
    return isinstance(error, DataError) or not isinstance(error, DBAPIError)
