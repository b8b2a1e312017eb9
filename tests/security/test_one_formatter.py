"""Whoever logs, libraries too, writes through the one formatter that escapes what a stranger sent."""

import json
import subprocess
import sys

EVIL = "A\\0B\\x1b[31mC\\nD\\r\\u2028E"
LIBRARIES = (
    "pynetdicom.dul",
    "celery.task",
    "celery.worker",
    "celery.redirected",
    "multiprocessing",
    "kombu.transport",
    "uvicorn.error",
    "uvicorn.access",
    "sqlalchemy.engine",
    "alembic.runtime",
    "httpx2",
)
# As a worker and STOW-RS set themselves up: ours first, then theirs.
SAY = f"""
import logging, warnings
from billiard import util
from compose import logs
logs.configure(logs.LogFormat.json)
from worker import app
from worker.settings import WorkerSettings
site = app.Site(WorkerSettings(broker_url="redis://127.0.0.1:1/0"), "sqlite://")
app.build(site).log.setup(logging.INFO, redirect_stdouts=True, redirect_level="WARNING", hostname="here")
for name in {LIBRARIES!r}:
    logging.getLogger(name).error("{EVIL}")
util.get_logger().error("{EVIL}")
warnings.warn("{EVIL}")
"""


def test_no_library_writes_past_the_one_formatter() -> None:
    run = subprocess.run([sys.executable, "-c", SAY], check=True, capture_output=True, text=True)
    lines = [line for line in (run.stdout + run.stderr).split("\n") if line]
    assert all(line.isprintable() for line in lines)
    told = {line["logger"] for line in map(json.loads, lines) if "\\x1b[31m" in line["message"]}
    assert told >= set(LIBRARIES)
