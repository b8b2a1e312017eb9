"""What each answer of an archive means: taken, to be tried again, or refused for good."""

import pytest

from worker.delivery import verdicts
from worker.errors import DeliveryFailed


@pytest.mark.parametrize("status", [0x0000, 0x0001, 0x0107, 0x0111, 0x0116, 0xB000, 0xB006, 0xB007, 0xBFFF])
def test_success_warnings_and_duplicates_are_taken(status: int) -> None:
    assert verdicts.of_store(status) is None


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (0xA700, "out_of_resources"),
        (0xA7FF, "out_of_resources"),
        (0x0213, "archive_busy"),
        (0x0210, "archive_busy"),
        (0x0110, "archive_busy"),
    ],
)
def test_what_says_something_of_the_moment_may_pass(status: int, code: str) -> None:
    failure = verdicts.of_store(status)
    assert isinstance(failure, DeliveryFailed)
    assert (failure.retry, failure.code, failure.detail) == (True, code, {"status": status})


@pytest.mark.parametrize("status", [0xA900, 0xA9FF, 0xC000, 0xC123, 0x0117, 0x0122, 0x0124, 0x0106, 0xA800, 0xFE00])
def test_what_says_something_of_the_object_is_final(status: int) -> None:
    failure = verdicts.of_store(status)
    assert isinstance(failure, DeliveryFailed)
    assert (failure.retry, failure.code) == (False, "store_refused")


@pytest.mark.parametrize(
    ("result", "source", "reason", "code"),
    [
        (2, 1, 1, "rejected_for_now"),
        (2, 3, 2, "rejected_for_now"),
        # Some peers call congestion permanent; the presentation part of a provider has no other reasons (PS3.8 9.3.4).
        (1, 3, 1, "rejected_for_now"),
        (1, 3, 2, "rejected_for_now"),
        (1, 1, 1, "association_rejected"),
        (1, 1, 3, "association_rejected"),
        (1, 1, 7, "association_rejected"),
        (1, 2, 2, "association_rejected"),
    ],
)
def test_a_rejection_is_final_unless_it_is_of_the_moment(result: int, source: int, reason: int, code: str) -> None:
    failure = verdicts.of_rejection(result, source, reason)
    assert (failure.code, failure.retry) == (code, code == "rejected_for_now")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((status, "archive_busy") for status in (408, 425, 429, 500, 502, 503, 504, 599)),
        (507, "out_of_resources"),
        *((status, "login_refused") for status in (401, 403)),
        *((status, "web_refused") for status in (301, 302, 400, 404, 405, 406, 410, 413, 415, 422, 501, 505)),
        (409, "store_refused"),
    ],
)
def test_every_http_status_may_pass_or_is_final(status: int, code: str) -> None:
    failure = verdicts.of_http(status)
    assert (failure.code, failure.retry) == (code, code in {"archive_busy", "out_of_resources"})


def test_a_server_may_say_when_to_come_again() -> None:
    assert verdicts.of_http(429, "120").detail == {"http_status": 429, "retry_after_s": 120}
    assert verdicts.of_http(503, "Wed, 21 Oct 2026 07:28:00 GMT").detail == {"http_status": 503}
