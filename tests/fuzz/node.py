"""The node that is shot at: listener, scheduler and STOW-RS as processes, and what they hold and write."""

import json
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import select

from db import schema
from db.engine import open_database
from db.tables import Instance
from tests.support import node_forks, servers, services
from tests.support.node_senders import series_uid

TOKEN = "a-token-of-some-length"  # noqa: S105  of this run alone
# A scheduler with thousands of hostile series before it comes to a sound one all the same.
ROWS_TIMEOUT_S = 120
START_TIMEOUT_S = 300


class Node:
    """Listener, scheduler and STOW-RS on one spool.

    Attributes
    ----------
    log
        Where all of them write.
    memory_mb
        The most memory that any process was seen to have held.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.log, self._url = folder / "node.log", f"sqlite:///{folder / 'scleroscan.db'}"
        schema.upgrade(self._url)
        self.settings = servers.node_settings(folder, web_port=services.free_port(), web_token=TOKEN)
        self.port, self.web_port = self.settings.port, self.settings.web_port or 0
        self._processes = [self._start(part, stack) for part in ("listener", "scheduler", "web")]
        for port in (self.port, self.web_port):
            services.wait_until(partial(services.port_answers, port), START_TIMEOUT_S, "the node")
        self._begun = {one.pid for one in self._family()}
        self.memory_mb = 0.0
        self._sessions = open_database(self._url)
        stack.callback(self._sessions.kw["bind"].dispose)

    def _start(self, part: str, stack: ExitStack) -> Any:
        # Printed settings hide the token.
        given = self.settings.model_dump(mode="json") | {"web_token": TOKEN}
        words = [part, self._url, "memory://", json.dumps(given)]
        return stack.enter_context(services.ended(node_forks.start(words, self.log)))

    def _family(self) -> list[psutil.Process]:
        own = [psutil.Process(one.pid) for one in self._processes]
        return [*own, *(child for one in own for child in one.children(recursive=True))]

    def look(self) -> None:
        """Note the most memory that each process has held."""
        for one in self._family():
            self.memory_mb = max(self.memory_mb, peak_mb(one.pid))

    def stopped(self) -> int:
        """Return how many processes of the beginning are gone."""
        return len(self._begun - {one.pid for one in self._family()})

    def paths(self, series: int) -> Mapping[str, Path]:
        """Return the files of a series that have a row, by SOP Instance UID."""
        wanted = select(Instance.sop_uid, Instance.path).where(Instance.series_uid == series_uid(series))
        with self._sessions.begin() as session:
            return {uid: Path(path) for uid, path in session.execute(wanted)}

    def registered(self, series: int, count: int) -> Mapping[str, Path]:
        """Return the files of a series once so many have a row, or those that have one when time is up."""
        with suppress(pytest.fail.Exception):
            services.wait_until(lambda: len(self.paths(series)) >= count, ROWS_TIMEOUT_S, "the rows of a series")
        return self.paths(series)


def peak_mb(process: int) -> float:
    """Return the most memory that a process has held so far; 0 where it is gone."""
    with suppress(OSError):
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) / 1e3
    return 0.0
