"""The audit of a large site: how long each of the auditor's questions takes, by which scans, and how the rows grow."""

import re
import statistics
import time
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, text

from db import schema
from tests.bench import audited_rows
from tests.bench.figures import Row, markdown
from tests.support import REPOSITORY, services

QUESTIONS = REPOSITORY / "docs" / "how-to" / "auditor-questions.md"
PAGE = REPOSITORY / "docs" / "evaluation" / "audit.md"
IMAGES_OF_A_CHEST = 300
OF_ONE_PATIENT = ("Every column of all results of P7", "SELECT * FROM audit_result WHERE patient_id = 'P7'")
OF_IMAGES = ("instance", "job_instance")
SIZES = """
SELECT relname, pg_total_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND reltuples > 1000 ORDER BY 2 DESC
"""
SAID = """# The audit of {series} series

Written by `make bench` (part `audit`): a Postgres of its own with its default settings, {series} series of {images}
images over four years (a chest has about {chest}: what a question reads of images grows with them), 131 numbers and
four objects each. Each of [the auditor's questions](../how-to/auditor-questions.md) was asked once, and then several
times: the fastest (what it takes; the machine did other work meanwhile), the median, and the indices and tables that
were read.

{questions}

How much a thousand series of {chest} images take, indices included.

{growth}
"""


def measured(series: int, images: int, rounds: int) -> dict[str, list[Row]]:
    """Fill a database and ask it; times in milliseconds, sizes in megabytes a thousand series."""
    with services.postgres() as server:
        url = f"{server}/postgres"
        schema.upgrade(url)
        engine = create_engine(url)
        audited_rows.fill(engine, series, images)
        found = {"questions": list(_asked(engine, rounds)), "growth": list(_growth(engine, series, images))}
        engine.dispose()
    return found


def _asked(engine: Engine, rounds: int) -> Iterator[Row]:
    questions = re.findall(r"^## (.+?)$.*?```sql\n(.*?)```", QUESTIONS.read_text(), re.MULTILINE | re.DOTALL)
    with engine.connect() as connection:
        connection.execute(text("SET ROLE scleroscan_auditor"))
        for question, query in [
            *questions,
            ("All results of P7", "SELECT * FROM audit_result WHERE patient_id = 'P7'"),
        ]:
            connection.execute(text(query)).all()
            times = [_seconds(connection, query) for _ in range(rounds)]
            (plan,) = connection.execute(text(f"EXPLAIN (FORMAT JSON) {query}")).scalars().one()
            yield {
                "question": question,
                "rows": str(len(connection.execute(text(query)).all())),
                "fastest, ms": min(times) * 1000,
                "median, ms": statistics.median(times) * 1000,
                "scans": ", ".join(dict.fromkeys(_scans(plan["Plan"]))),
            }


def _seconds(connection: Connection, query: str) -> float:
    started = time.perf_counter()
    connection.execute(text(query)).all()
    return time.perf_counter() - started


def _scans(node: dict[str, Any]) -> Iterator[str]:
    """Yield what a plan reads: names of indices, and tables that it reads whole."""
    if "Index Name" in node and node["Node Type"] != "Bitmap Heap Scan":
        yield node["Index Name"]
    elif "Seq Scan" in node["Node Type"]:
        yield f"all of {node['Relation Name']}"
    for inner in node.get("Plans", []):
        yield from _scans(inner)


def _growth(engine: Engine, series: int, images: int) -> Iterator[Row]:
    with engine.connect() as connection:
        sizes: dict[str, int] = {name: size for name, size in connection.execute(text(SIZES))}
    a_thousand = {
        name: size / 1e6 / series * 1000 * (IMAGES_OF_A_CHEST / images if name in OF_IMAGES else 1)
        for name, size in sizes.items()
    }
    for name, size in sorted(a_thousand.items(), key=lambda one: -one[1]):
        yield {"table": name, "MB a thousand series": size}
    yield {"table": "all", "MB a thousand series": sum(a_thousand.values())}


def write_page(found: dict[str, list[Row]], series: int, images: int) -> None:
    """Write the figures as a page of the documents."""
    words = {"series": f"{series:,}", "images": images, "chest": IMAGES_OF_A_CHEST}
    tables = {name: markdown(rows) for name, rows in found.items()}
    PAGE.write_text(SAID.format(**words, **tables))
