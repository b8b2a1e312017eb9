"""The auditors' role where the database's user may make no roles, and the migrations there and back."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from alembic import command
from sqlalchemy import create_engine, inspect, text

from db import schema
from db.audit_columns import VIEWS
from db.engine import open_engine
from tests.support import REPOSITORY, services

HOW_TO = REPOSITORY / "docs" / "how-to" / "audit-a-number.md"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server of its own: roles belong to a whole server, and another test may have made this one."""
    with services.postgres() as url:
        yield url


def execute(url: str, *statements: str) -> Any:
    """Run statements, and return the value that the last one found."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        *_, last = (connection.execute(text(statement)) for statement in statements)
        found = last.scalar() if last.returns_rows else None
    engine.dispose()
    return found


def test_where_no_role_may_be_made_an_administrator_makes_it(server: str) -> None:
    execute(f"{server}/postgres", "CREATE ROLE plain LOGIN", "CREATE DATABASE site OWNER plain")
    schema.upgrade(f"{server.replace('scleroscan@', 'plain@')}/site")
    known = "SELECT COUNT(*) FROM pg_roles WHERE rolname = 'scleroscan_auditor'"
    assert execute(f"{server}/site", known) == 0
    (told,) = re.findall(r"```sql\n(CREATE ROLE scleroscan_auditor.*?)```", HOW_TO.read_text(), re.DOTALL)
    execute(f"{server}/site", *told.strip().rstrip(";").split(";"))
    read = "SELECT has_table_privilege('scleroscan_auditor', '{}', 'SELECT')"
    assert [execute(f"{server}/site", read.format(view)) for view in VIEWS] == [True] * len(VIEWS)
    assert execute(f"{server}/site", read.format("event")) is False
    assert (execute(f"{server}/site", "SHOW jit"), execute(f"{server}/site", "SHOW random_page_cost")) == ("off", "1.1")


def test_the_migration_goes_back_and_forth(database_url: str) -> None:
    engine = open_engine(database_url)
    config = schema._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0010")
        assert set(inspect(connection).get_view_names()) == {"audit_result", "audit_every_result", "audit_trail"}
    schema.upgrade(database_url)
    assert set(inspect(engine).get_view_names()) == set(VIEWS)
    engine.dispose()
