"""A series whose association broke off is not whole, however its slices look."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydicom import Dataset
from sqlalchemy.orm import Session, sessionmaker

from tests.support import node_service, services
from tests.support.node_senders import association, ct_slice, encoded, send, series_uid, storescu_succeeds, write
from tests.support.node_service import RunningNode
from tests.support.query_archive import archive

SUCCESS = 0x0000
SLICES, CAME = 79, 60
QUICK: dict[str, Any] = {"quiet_s": 0.5, "gap_wait_s": 1.0, "settle_s": 0.2}


def images(count: int) -> list[Dataset]:
    return [ct_slice(number) for number in range(count)]


def abort(port: int, folder: Path) -> None:
    """Send so many slices, then abort."""
    with association(port) as opened:
        for ds in images(CAME):
            assert send(opened, encoded(ds), ds.SOPInstanceUID) == SUCCESS
        opened.abort()


def hang_up(port: int, folder: Path) -> None:
    """Send so many slices, then close the connection without a word."""
    with association(port) as opened:
        for ds in images(CAME):
            assert send(opened, encoded(ds), ds.SOPInstanceUID) == SUCCESS
        opened.dul.socket.close()


def die(port: int, folder: Path) -> None:
    """Let DCMTK's storescu send so many slices, and kill it while it opens the next file."""
    paths, endless = write(folder / "to be killed", images(CAME)), folder / "endless.dcm"
    os.mkfifo(endless)
    command = [services.program("storescu"), "-aet", "SCANNER", "-aec", "SCLEROSCAN", "127.0.0.1", str(port)]
    with subprocess.Popen([*command, *map(str, paths), str(endless)]) as sender:
        # It opens the file for reading now: all before were answered.
        descriptor = os.open(endless, os.O_WRONLY)
        sender.kill()
        os.close(descriptor)


def warnings(node: RunningNode) -> list[dict[str, Any]]:
    """What the node's log says of associations that broke off."""
    lines = (node.spool.parent / "node.log").read_text().splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in told if line.get("code") == "association_broken_off" and line["level"] == "WARNING"]


def send_whole(node: RunningNode, folder: Path, count: int) -> None:
    """Send so many slices of the series and release."""
    write(folder / "whole", images(count))
    storescu_succeeds(node.port, folder / "whole")


@pytest.mark.parametrize("broken_off", [abort, hang_up, die])
def test_a_series_cut_off_is_measured_once_it_was_sent_whole(
    tmp_path: Path, sessions: sessionmaker[Session], broken_off: Callable[[int, Path], None]
) -> None:
    with node_service.running(tmp_path, sessions, **QUICK) as node:
        broken_off(node.port, tmp_path)
        row = node.wait_until_closed(series_uid())
        assert (row.state, row.code, row.detail["instances"]) == ("incomplete", "association_broken_off", CAME)
        assert row.detail["evidence"] == ["contiguous"]
        assert node.jobs(series_uid()) == []
        (told,) = warnings(node)
        assert (told["calling_ae"], told["series_uid"], told["images"]) == ("SCANNER", series_uid(), CAME)
        send_whole(node, tmp_path, SLICES)
        row = node.wait_until_closed(series_uid(), after=row.last_arrival_at)
        assert (row.state, row.code, row.detail["instances"]) == ("complete", "contiguous", SLICES)
        assert row.detail["evidence"] == ["association_ended", "contiguous"]
        assert node.jobs(series_uid()) == ["queued"]


def test_the_same_slices_again_and_a_release_make_a_series_whole(
    tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    with node_service.running(tmp_path, sessions, **QUICK) as node:
        abort(node.port, tmp_path)
        row = node.wait_until_closed(series_uid())
        assert row.code == "association_broken_off"
        send_whole(node, tmp_path, CAME)
        row = node.wait_until_closed(series_uid(), after=row.last_arrival_at)
        assert (row.state, row.code, row.detail["instances"]) == ("complete", "contiguous", CAME)
        assert node.jobs(series_uid()) == ["queued"]
        assert [(e["to_state"], e["code"]) for e in node.trail(series_uid()) if e["subject"] == "series"] == [
            ("receiving", None),
            ("incomplete", "association_broken_off"),
            ("receiving", "sent_again"),
            ("complete", "contiguous"),
        ]


def test_the_same_slices_broken_off_again_are_not_measured(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with node_service.running(tmp_path, sessions, **QUICK) as node:
        for attempt in (1, 2):
            before = node.series(series_uid())
            abort(node.port, tmp_path)
            row = node.wait_until_closed(series_uid(), after=before.last_arrival_at if before else None)
            assert (row.state, row.code) == ("incomplete", "association_broken_off"), attempt
        assert node.jobs(series_uid()) == []


def test_a_receiver_that_is_killed_has_ended_no_association(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with node_service.running(tmp_path, sessions, receivers=1, **QUICK) as node:
        with association(node.port) as opened:
            for ds in images(CAME):
                assert send(opened, encoded(ds), ds.SOPInstanceUID) == SUCCESS
            receiver = process_behind(opened.dul.socket.socket.getsockname())
            os.kill(receiver, signal.SIGKILL)
        row = node.wait_until_closed(series_uid())
        assert (row.state, row.code, row.detail["instances"]) == ("incomplete", "association_broken_off", CAME)
        assert node.jobs(series_uid()) == []
        assert [line["series_uid"] for line in warnings(node)] == [series_uid()]


def process_behind(address: tuple[str, int]) -> int:
    """The process that holds the other end of a connection."""
    found = [c.pid for c in psutil.net_connections("tcp") if c.raddr == address and c.pid is not None]
    (pid,) = found
    return int(pid)


def test_the_number_of_the_source_completes_a_series_broken_off(
    tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    with (
        archive(lambda: CAME) as port,
        node_service.running(tmp_path, sessions, source=f"dicom://PACS@127.0.0.1:{port}", **QUICK) as node,
    ):
        abort(node.port, tmp_path)
        row = node.wait_until_closed(series_uid())
        assert (row.state, row.code) == ("complete", "expected_number")
        assert row.detail["evidence"] == ["contiguous", "expected_number"]
