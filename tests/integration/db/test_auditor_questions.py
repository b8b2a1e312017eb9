"""Every query of the page of questions, run on Postgres as the auditors' role, returns what the site's work implies."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, delete, insert, make_url, select, text
from sqlalchemy import table as lightweight
from sqlalchemy.exc import DBAPIError, ProgrammingError

from db.audit_columns import COLUMNS, VIEWS
from db.engine import open_database
from db.tables import Base
from tests.support import REPOSITORY, audited_site, databases
from tests.support.audited_site import LASTS_S, PACS, SECOND, STAGES, START, VNA, uid

PAGE = REPOSITORY / "docs" / "how-to" / "auditor-questions.md"
REFERENCE = REPOSITORY / "docs" / "reference" / "audit-views.md"
QUESTIONS = dict(re.findall(r"^## (.+?)$.*?```sql\n(.*?)```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
# Of the clock that the site's work went by: when the series of P1, P4, P7 and P9 came, and what each step took.
P1_CAME, CLOSED_S, CLAIMED_S, TAKEN_S, SENT_S, COMMITTED_S = START, 30, 10, 5, 1, 60
MEASURED_S = CLOSED_S + CLAIMED_S + LASTS_S


@pytest.fixture(scope="module")
def owner(postgres_server: str) -> Iterator[Engine]:
    """A site's database, filled, as its owner sees it."""
    sessions = open_database(databases.postgres(postgres_server))
    audited_site.fill(sessions)
    with sessions.begin() as session:
        session.execute(text("CREATE ROLE anna LOGIN"))
        session.execute(text("GRANT scleroscan_auditor TO anna"))
    yield sessions.kw["bind"]
    sessions.kw["bind"].dispose()


@pytest.fixture(scope="module")
def anna(owner: Engine) -> Iterator[Engine]:
    """The same database as an auditor sees it, who is in the role that the migrations made."""
    engine = create_engine(make_url(owner.url).set(username="anna"), connect_args={"options": "-c timezone=UTC"})
    yield engine
    engine.dispose()


def ask(engine: Engine, question: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(QUESTIONS[question]))]


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def mean(*values: float) -> Decimal:
    return Decimal(str(round(sum(values) / len(values), 1)))


def at(engine: Engine, number: int) -> datetime:
    """Return when the last image of a patient came."""
    with engine.connect() as connection:
        query = text("SELECT MAX(received_at) FROM instance WHERE series_uid = :uid")
        found: datetime = connection.execute(query, {"uid": uid(number)}).scalar_one()
    return found


# What the fixture implies, without the times of each: these are left out here and asked for below.
DOUBT, WHOLE = "out of resources", ("both", "whole")
ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "Which model made this number?": [(10, 20.0, "ssc-ild-unet", "2", SECOND.model_digest, "s" * 64)],
    "From which images was it made?": [(f"{uid(1)}.{n + 1}", f"{n:064d}", None) for n in range(3)],
    "Who sent them, and when?": [("RIS", "SCLEROSCAN", 3, ..., ...)],
    "Who asked for this result?": [("PNEUMOLOGY", "ORDER-1", "Lungs", "https://his.example/rs", ..., "completed")],
    "Where did the result go?": [
        *((kind, PACS, "committed", ...) for kind in ("seg", "sr")),
        *((kind, VNA, "sent", ...) for kind in ("seg", "sr")),
    ],
    "Did the archive commit to keep it?": [
        (1, PACS, 2, 2, P1_CAME + seconds(MEASURED_S + TAKEN_S + 2 * SENT_S + COMMITTED_S)),
        (1, VNA, 2, 0, None),
        (10, PACS, 2, 2, ...),
        (10, VNA, 2, 0, None),
    ],
    "What is known of a patient?": [("20260102", 3, 45.0, "extensive", "thick_slices")],
    "What was refused, and why?": [("P2", "CT2", "missing_slices", "1 slice is missing", ...)],
    "What was superseded, by what, and why?": [
        ("P1", 1, 12.5, 10, 20.0, "measured_again", "operator:anna"),
        ("P10", 8, 15.0, 9, 16.0, "newer_images", "dicom_node"),
    ],
    "How long did each stage take?": list(STAGES.items()),
    "How many results are there for each month and model?": [
        ("2026-01", "1", 3, mean(12.5, 45, 0)),
        ("2026-02", "1", 5, mean(5, 33, 8, 15, 16)),
        ("2026-02", "2", 1, mean(20)),
    ],
    "What is still to be delivered, and where?": [(PACS, 2, ..., "no answer")],
    "Which deliveries did an archive refuse?": [("P5", kind, PACS, "a700", DOUBT) for kind in ("seg", "sr")],
    "How long is it from the last image to the archive?": [
        ("2026-02", 2, *[seconds(MEASURED_S + TAKEN_S + 2 * SENT_S)] * 2),
    ],
    "Which results would another model change?": [("P10", "1", 4), *((f"P{n}", "1", 3) for n in (4, 5, 7))],
    "Who released or discarded what?": [
        ("operator:anna", "released", ..., "P3"),
        ("operator:bert", "discarded", ..., "P9"),
    ],
    "What else did people do?": [("operator:anna", "measured_again", "job", "1", ...)],
    "Who looked at the exams of a patient?": [("operator:anna@page", ..., uid(6))],
    "What waits for a person?": [("P5", 6, "failed", "delivery_failed", f"not delivered to {PACS}: {DOUBT}")],
    "What was received and never measured?": [
        ("P6", 3, "skipped", "not_eligible", '{"rule": "scouts"}'),
        ("P8", 2, "incomplete", "fewer_than_expected", '{"expected": 3}'),
    ],
    "Whose name or number was corrected?": [(uid(7), "dicom_node", "PX", "P7")],
    "Which doubts do the results bear?": [("thick_slices", 7)],
    "How much came from each sender, and how much of it was measured?": [("CT1", 4, 2), ("CT2", 1, 1), ("RIS", 1, 1)],
    "Which numbers does one result consist of?": [
        ("consolidation", *WHOLE, "extent", 0.5, "%"),
        ("ggo", *WHOLE, "extent", 3.0, "%"),
        ("lung", *WHOLE, "volume", 4000.0, "ml"),
        ("reticulation", *WHOLE, "extent", 1.5, "%"),
        ("total", *WHOLE, "extent", 5.0, "%"),
    ],
    "Is there a hole in the events?": [],
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_has_its_answer(anna: Engine, question: str) -> None:
    found = ask(anna, question)
    expected = ANSWERS[question]
    assert [
        tuple(... if said is ... else value for value, said in zip(row, answer, strict=True))
        for row, answer in zip(found, expected, strict=True)
    ] == expected


def test_the_page_has_twenty_questions_and_all_are_asked() -> None:
    assert len(QUESTIONS) >= 20
    assert PAGE.read_text().count("\n## ") == PAGE.read_text().count("```sql") == len(QUESTIONS)
    assert list(ANSWERS) == list(QUESTIONS)


def test_times_in_the_answers_are_those_of_the_work(owner: Engine, anna: Engine) -> None:
    assert ask(anna, "Who sent them, and when?")[0][3:] == (at(owner, 7), at(owner, 7))
    assert [row[3] for row in ask(anna, "Where did the result go?")][:2] == [
        ask(anna, "What else did people do?")[0][4] + seconds(CLAIMED_S + LASTS_S + TAKEN_S + n) for n in (1, 2)
    ]
    assert ask(anna, "What was refused, and why?")[0][4] == at(owner, 2) + seconds(CLOSED_S + CLAIMED_S + 3)
    assert ask(anna, "What is still to be delivered, and where?")[0][2] == at(owner, 4) + seconds(MEASURED_S)
    assert [row[2] for row in ask(anna, "Who released or discarded what?")] == [
        at(owner, number) + seconds(MEASURED_S + 600) for number in (3, 9)
    ]


def test_results_of_a_patient_are_found_by_an_index(anna: Engine) -> None:
    with anna.connect() as connection:
        # A few rows are read whole, whatever indices there are.
        connection.execute(text("SET enable_seqscan = off"))
        plan = connection.execute(text("EXPLAIN SELECT * FROM audit_result WHERE patient_id = 'P3'")).scalars().all()
    assert "ix_job_patient_id" in "\n".join(plan)
    assert "instance" not in "\n".join(plan)


def test_a_hole_in_the_events_is_an_answer(owner: Engine) -> None:
    with owner.connect() as connection:
        connection.execute(text("SET session_replication_role = replica"))
        connection.execute(text("DELETE FROM event WHERE sequence = 1 AND series_uid = :uid"), {"uid": uid(8)})
        # Nobody else sees it, for it is taken back: so the role is taken on here.
        connection.execute(text("SET LOCAL ROLE scleroscan_auditor"))
        found = connection.execute(text(QUESTIONS["Is there a hole in the events?"])).all()
        connection.rollback()
    assert [tuple(row) for row in found] == [(uid(8), 2)]


@pytest.mark.parametrize("table", [*Base.metadata.tables, "alembic_version"])
def test_an_auditor_reads_no_table_and_changes_nothing(anna: Engine, table: str) -> None:
    of = lightweight(table)
    for statement in (select(text("*")).select_from(of), delete(of), insert(of)):
        with anna.connect() as connection, pytest.raises(ProgrammingError, match="permission denied"):
            connection.execute(statement)


@pytest.mark.parametrize("view", VIEWS)
def test_every_column_of_a_view_is_told_of(anna: Engine, view: str) -> None:
    comment = text(
        "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute "
        "WHERE attrelid = CAST(:view AS regclass) AND attnum > 0 ORDER BY attnum"
    )
    with anna.connect() as connection:
        told = {name: said for name, said in connection.execute(comment, {"view": view})}
        with pytest.raises(DBAPIError, match=r"permission denied|cannot delete from view"):
            connection.execute(delete(lightweight(view)))
    assert told == COLUMNS[view]


@pytest.mark.parametrize("view", VIEWS)
def test_the_reference_has_every_column(view: str) -> None:
    (section,) = re.findall(rf"^## {view}\n(.*?)(?=^## |\Z)", REFERENCE.read_text(), re.DOTALL | re.MULTILINE)
    listed = dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", section, re.MULTILINE))
    inherited = COLUMNS["audit_result"] if view == "audit_every_result" else {}
    assert inherited | listed == COLUMNS[view]
