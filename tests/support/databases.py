"""Databases with today's tables, copied from one that was migrated: the migrations take longer than most tests."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from uuid import uuid4

import psycopg
from sqlalchemy import make_url

from db import schema

ONLY_COPIED = "migrated"


def sqlite(file: Path) -> str:
    """Make an SQLite file, as the owner's alone as a real one, and return its URL."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copy(_migrated_file(), file)
    return f"sqlite:///{file}"


def postgres(server: str) -> str:
    """Make a database on a server of the tests, and return its URL."""
    _migrate_once(server)
    return empty_postgres(server, template=ONLY_COPIED)


def empty_postgres(server: str, name: str | None = None, template: str = "template1") -> str:
    """Make a database without any tables on a server of the tests, and return its URL."""
    name = name or f"test_{uuid4().hex}"
    _execute(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return f"{server}/{name}"


def drop_postgres(url: str) -> None:
    """Remove a database, whoever still holds a connection to it."""
    server, _, name = url.rpartition("/")
    _execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')


def _execute(server: str, statement: str) -> None:
    parsed = make_url(server)
    dsn = f"host={parsed.host} port={parsed.port} user={parsed.username} dbname=postgres"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


@cache
def _migrate_once(server: str) -> None:
    schema.upgrade(empty_postgres(server, ONLY_COPIED))


@cache
def _migrated_file() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="scleroscan-migrated-")
    atexit.register(folder.cleanup)
    file = Path(folder.name) / "migrated.db"
    schema.upgrade(f"sqlite:///{file}")
    return file
