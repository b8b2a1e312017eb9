"""Writes what a thousand series cost as a page, and the figures as JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.figures import Row, machine, markdown, shown

HEAD = """# A thousand series

Written by `make bench PART=thousand`; the figures are in [scale.json](scale.json). {facts}.

Two listeners, two schedulers, three workers and one that delivers, on one Postgres, one Redis and one spool, deliver
copies of a chest of 40 small slices to Orthanc, thirty on their way at a time. Each worker analyses the first copy, and
of the others it writes the objects alone, so that the network does not hide what is sought here: what queue, database
and scheduler cost a series. All else is what a site does: reception, registration, judging, claim, stages, and three
objects stored and proven. Where other work shares the cores, seconds and
processor milliseconds grow with it, statements do not; the load average is that of the end.

## Is the last as cheap as the first?

Seconds, processor milliseconds and statements of one series, by tenths of the run. The first tenth has what each worker
does once, and the last none of the series behind it.

{tenths}

## Which statements

How often each is made for one series; the scheduler's ticks while it has nothing to do are among them.

{statements}

## With nothing to do

A second of a site at rest: processor milliseconds and statements.

{idle}

## While work waits

No worker analyses, and {waiting_series} series wait. A second of it, and how many messages lie in Redis.

{waiting}

## With {many} series

What is asked again and again, of a small and a large site on a Postgres with its default settings: the fastest of a
few times, and the rows that are read of the larger one. Images of the last thirty days are in the spool.

{asked}
"""


def write(folder: Path, found: Mapping[str, Sequence[Row]], many: int) -> None:
    """Write ``scale.md`` and ``scale.json`` into a folder; ``many`` are the series of the larger site."""
    here = machine()
    (folder / "scale.json").write_text(json.dumps({"machine": here, **found}, indent=1) + "\n")
    facts = ", ".join(f"{name} {shown(value)}" for name, value in here.items()).capitalize()
    tables = {name: markdown(rows) for name, rows in found.items() if rows}
    waiting = found["waiting"][-1]["jobs waiting"]
    (folder / "scale.md").write_text(HEAD.format(facts=facts, waiting_series=waiting, many=f"{many:,}", **tables))
