"""``scleroscan audit verify`` sees a change of any column, by whoever owns the database, on SQLite and Postgres."""

import json
import random
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, select
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from tests.support import audited_site
from tests.support.command import run
from tests.support.tampering import change_one, is_sealed, sealed_columns, unguarded

ROWS = 1


def verify(url: str, anchors: Path) -> list[dict[str, str]]:
    said = run("audit", "verify", "--no-files", "--json", "--anchors", str(anchors), DB_URL=url)
    faults = json.loads(said.stdout)["faults"]
    assert (said.returncode == 1) == bool(faults), said
    return list(faults)


def test_a_change_of_any_column_is_seen(database_url: str, sessions: sessionmaker[Session], tmp_path: Path) -> None:
    anchors = tmp_path / "anchors.jsonl"
    audited_site.fill(sessions)
    with sessions.begin() as session:
        tracking.anchor(session, anchors, audited_site.START)
    assert verify(database_url, anchors) == []
    dice, unseen, made = random.Random(11), [], 0
    with unguarded(database_url) as connection:
        for column in sealed_columns():
            for row in some_rows(connection, column, dice):
                take_back = change_one(connection, column, row, dice)
                made += 1
                if not verify(database_url, anchors):
                    unseen.append(f"{column} of {row}")
                take_back()
    assert unseen == []
    assert verify(database_url, anchors) == []
    print(f"{made} tamperings by the command on {database_url.split(':', 1)[0]}, none unseen")


def some_rows(connection: Connection, column: Column[Any], dice: random.Random) -> list[Any]:
    rows = [row for row in connection.execute(select(column.table)) if is_sealed(column, row)]
    return dice.sample(rows, min(ROWS, len(rows)))
