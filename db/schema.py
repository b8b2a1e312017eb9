"""Brings the tables to the newest migration, and checks that they are there."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, make_url
from sqlalchemy.orm import Session, sessionmaker

from db.engine import open_database, open_engine
from db.errors import SchemaOutdated

NO_TABLES = "there are no tables yet: `scleroscan up` makes them, in a shared database `scleroscan db upgrade`"


def upgrade(url: str) -> str:
    """Apply every migration that is missing and return the revision reached."""
    config = _config()
    engine = open_engine(url)
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()
    return newest_revision()


@cache
def newest_revision() -> str:
    """Return the revision of the newest migration."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise SchemaOutdated("this installation carries no migrations: install the package again")
    return head


def open_current(url: str) -> sessionmaker[Session]:
    """Return the maker of sessions on an existing database whose tables are at the newest migration.

    Raises
    ------
    SchemaOutdated
        The tables are older or absent. An SQLite file that is missing is not made.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        raise SchemaOutdated(NO_TABLES)
    sessions = open_database(url)
    require_newest(sessions.kw["bind"])
    return sessions


def require_newest(engine: Engine) -> None:
    """Raise SchemaOutdated unless the tables are at the newest migration."""
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found is None:
        raise SchemaOutdated(NO_TABLES)
    if found != newest_revision():
        raise SchemaOutdated(
            f"the tables are at revision {found}, this version needs {newest_revision()}: run `scleroscan db upgrade`"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
