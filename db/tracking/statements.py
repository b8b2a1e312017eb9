"""How statements are put: with words where an index of a part of a table needs them, and with many rows in one."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, Table, insert, inspect, literal
from sqlalchemy.orm import Session

from db.tables import Base


def written_out(state: str) -> ColumnElement[Any]:
    """Return a state as a word of the statement itself: for a parameter no such index is used."""
    return literal(str(state), literal_execute=True)


def write_all(session: Session, table: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that are not asked for again in this session, many by one statement."""
    if rows:
        session.flush()
        # SQLAlchemy puts rows together only where something is returned.
        key = inspect(table).primary_key[0]
        session.execute(insert(cast(Table, table.__table__)).returning(key), rows)
