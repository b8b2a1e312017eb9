"""Strangers' malformed PDUs beside a real sender: what the log keeps of them."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from pydicom.uid import CTImageStorage
from pynetdicom import AE
from sqlalchemy.orm import Session, sessionmaker

from tests.support import malformed, node_service, services
from tests.support.node_senders import ct_slice, series_uid, storescu, write

SHOTS, IMAGES = 300, 40
# The lines of two receivers' libraries in a minute or two, those of our own for whom we turned away, and of the start.
MOST_LINES = 250


def test_malformed_pdus_leave_a_short_clean_log(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    write(tmp_path / "ct", [ct_slice(number) for number in range(IMAGES)])
    # Enough slots for all: who comes first is not the matter.
    with node_service.running(tmp_path, sessions, max_associations=SHOTS + 1) as node:
        with storescu(node.port, tmp_path / "ct") as sender, ThreadPoolExecutor(4) as strangers:
            list(strangers.map(partial(malformed.shoot, node.port), malformed.shots(SHOTS)))
            said, _ = sender.communicate(timeout=120)
        assert sender.returncode == 0, said
        services.wait_until(lambda: images(node) == IMAGES, 60, "every image")
    log = (tmp_path / "node.log").read_text()
    assert "Traceback" not in log
    assert [sign for sign in set(log) if not sign.isprintable()] == ["\n"]
    lines = [json.loads(line) for line in log.splitlines()]
    assert len(lines) < MOST_LINES
    assert any(line["logger"].startswith("pynetdicom") for line in lines), "what libraries say is not hidden"
    assert any("left out" in line["message"] for line in lines)


def test_who_hangs_up_before_the_answer_keeps_no_slot(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    hung_up = [malformed.association_request()] * 200
    with node_service.running(tmp_path, sessions, max_associations=2) as node:
        with ThreadPoolExecutor(4) as strangers:
            list(strangers.map(partial(malformed.shoot, node.port), hung_up))
        services.wait_until(lambda: is_let_in(node.port), 60, "a free slot")


def is_let_in(port: int) -> bool:
    entity = AE("SCANNER")
    entity.add_requested_context(CTImageStorage)
    opened = entity.associate("127.0.0.1", port, ae_title="SCLEROSCAN")
    let_in = opened.is_established
    if let_in:
        opened.release()
    return let_in


def images(node: node_service.RunningNode) -> int:
    status = node.status(series_uid())
    return status.instances if status else 0
