"""Who asked for an item asks to cancel it: honoured while nothing was delivered."""

import pytest

from tests.support import services
from tests.support.ups_server import CANCELED, COMPLETED, IN_PROGRESS, UpsServer
from tests.support.workitems import NOW, Site, later
from worker.worklist.cancel_requests import cancel_request
from worker.worklist.performer import Performer

ARCHIVE = "https://pacs.example/dicom-web"


def claimed(ups: UpsServer, site: Site, performer: Performer) -> str:
    """Claim an item, and wait until its events are listened to."""
    uid = ups.add(site.item())
    performer.search(NOW)
    performer.advance(NOW)
    services.wait_until(lambda: ups.listeners() == 1, 10, "the connection for events")
    return uid


def cancel(ups: UpsServer, site: Site, performer: Performer, uid: str) -> None:
    """Ask to cancel, and let the performer go on until it has heard of it."""
    assert ups.ask_to_cancel(uid, "wrong patient") == 202

    def is_heard() -> bool:
        performer.advance(later(1))
        return site.row(uid).cancel_asked_at is not None

    services.wait_until(is_heard, 10, "the request to cancel")
    for _ in range(3):
        performer.advance(later(2))


@pytest.mark.parametrize("stage", ["no images", "queued", "encoded"])
def test_a_request_before_delivery_cancels(ups: UpsServer, site: Site, stage: str) -> None:
    performer = site.performer()
    uid = claimed(ups, site, performer)
    job_id = None
    if stage != "no images":
        site.receive()
        performer.advance(NOW)
        job_id = site.queue() if stage == "queued" else site.measure(ARCHIVE)
    cancel(ups, site, performer, uid)
    assert (ups.state(uid), site.rows()) == (CANCELED, ["canceled"])
    (said,) = ups.items[uid].ProcedureStepProgressInformationSequence
    assert said.ReasonForCancellation.startswith("cancel_requested: ")
    if job_id is not None:
        assert site.job_state(job_id) == "discarded"
        site.deliver(job_id, ARCHIVE)
        assert site.sent(job_id) == 0
        assert [code for _, _, code in site.story(uid)] == ["claimed", *["cancel_requested"] * 3]


def test_a_request_after_a_delivery_is_too_late(ups: UpsServer, site: Site) -> None:
    performer = site.performer()
    uid = claimed(ups, site, performer)
    site.receive()
    job_id = site.measure(ARCHIVE)
    first, *others = site.take_for_sending(job_id, ARCHIVE)
    site.sent_by_hand([first])
    cancel(ups, site, performer, uid)
    assert (ups.state(uid), site.job_state(job_id)) == (IN_PROGRESS, "encoded")
    site.sent_by_hand(others)
    for _ in range(2):
        performer.advance(later(3))
    assert (ups.state(uid), site.job_state(job_id)) == (COMPLETED, "delivered")


def test_an_object_on_its_way_decides_first(ups: UpsServer, site: Site) -> None:
    performer = site.performer()
    uid = claimed(ups, site, performer)
    site.receive()
    job_id = site.measure(ARCHIVE)
    on_their_way = site.take_for_sending(job_id, ARCHIVE)
    cancel(ups, site, performer, uid)
    assert (ups.state(uid), site.job_state(job_id)) == (IN_PROGRESS, "encoded")
    site.sent_by_hand(on_their_way)
    for _ in range(3):
        performer.advance(later(3))
    assert ups.state(uid) == COMPLETED


def test_what_another_item_asks_for_too_goes_on(ups: UpsServer, site: Site) -> None:
    performer = site.performer()
    first, second = ups.add(site.item()), claimed(ups, site, performer)
    site.receive()
    job_id = site.queue()
    cancel(ups, site, performer, first)
    assert (ups.state(first), ups.state(second)) == (CANCELED, IN_PROGRESS)
    assert site.job_state(job_id) == "queued"


def test_without_subscriptions_work_goes_on(ups: UpsServer, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    ups.subscribes, performer = False, site.performer()
    uid = ups.add(site.item())
    performer.search(NOW)
    for _ in range(3):
        performer.advance(NOW)
    assert (ups.state(uid), site.row(uid).subscribed) == (IN_PROGRESS, False)
    said = [record for record in caplog.records if "takes no subscription" in record.message]
    assert len(said) == 1


def test_a_restarted_performer_listens_again(ups: UpsServer, site: Site) -> None:
    first = site.performer()
    uid = claimed(ups, site, first)
    first.close()
    services.wait_until(lambda: ups.listeners() == 0, 10, "the end of the connection")
    second = site.performer()
    second.advance(NOW)
    services.wait_until(lambda: ups.listeners() == 1, 10, "the connection for events")
    cancel(ups, site, second, uid)
    assert ups.state(uid) == CANCELED


@pytest.mark.parametrize("message", ["", "[]", "7", '{"00001002": {"vr": "US", "Value": [1]}}', '{"00001002": 2}'])
def test_another_event_is_no_request(message: str) -> None:
    assert cancel_request(message) is None
