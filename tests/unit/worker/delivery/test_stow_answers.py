"""What the answer to a STOW-RS request says of one instance."""

import json
from typing import Any

import pytest

from worker.delivery import stow
from worker.delivery.web_session import Answer
from worker.errors import DeliveryFailed

OURS, OTHER = "1.2.3", "1.2.4"


def item(uid: str, keyword: str = "00081197", *reasons: int) -> dict[str, Any]:
    one: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    return one | ({keyword: {"vr": "US", "Value": list(reasons)}} if reasons else {})


def said(status: int, of_list: bool = False, **sequences: list[dict[str, Any]]) -> Answer:
    body = {tag.removeprefix("x"): {"vr": "SQ", "Value": items} for tag, items in sequences.items()}
    return Answer(status, {}, json.dumps([body] if of_list else body).encode())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (said(200, x00081199=[item(OURS)]), 0),
        (said(200, of_list=True, x00081199=[item(OURS)]), 0),
        (said(202, x00081199=[item(OURS, "00081196", 0xB007)]), 0xB007),
        (said(202, x00081199=[item(OURS)]), 0xB000),
        (Answer(200, {}, b""), 0),
        (Answer(200, {}, b"<NativeDicomModel/>"), 0),
        # That another instance failed is nothing to ours.
        (said(202, x00081198=[item(OTHER, "00081197", 0xC000)], x00081199=[item(OURS)]), 0xB000),
        # It is there already: an earlier try brought it.
        (said(409, x00081198=[item(OURS, "00081197", 0x0111)]), 0x0111),
    ],
)
def test_what_was_taken_is_told_with_its_warning(answer: Answer, expected: int) -> None:
    assert stow.read_answer(answer, OURS) == expected


@pytest.mark.parametrize(
    ("answer", "code", "retry"),
    [
        (said(409, x00081198=[item(OURS, "00081197", 0xA700)]), "out_of_resources", True),
        (said(409, x00081198=[item(OURS, "00081197", 0x0110)]), "archive_busy", True),
        (said(409, x00081198=[item(OURS)]), "archive_busy", True),
        (said(409, x00081198=[item(OURS, "00081197", 0xA900)]), "store_refused", False),
        (said(409, x00081198=[item(OURS, "00081197", 0x0122)]), "store_refused", False),
        # Archives that store nothing and still say 200 or 202.
        (said(200, x00081198=[item(OURS, "00081197", 0xC000)]), "store_refused", False),
        (said(202, x00081198=[item(OTHER), item(OURS, "00081197", 0x0122)]), "store_refused", False),
        (said(409, x0008119A=[{"00081197": {"vr": "US", "Value": [0xC000]}}]), "store_refused", False),
        (Answer(409, {}, b"<html>conflict</html>"), "store_refused", False),
        (Answer(503, {"retry-after": "7"}, b""), "archive_busy", True),
        (Answer(401, {}, b""), "login_refused", False),
    ],
)
def test_hard_case_30_a_failure_is_read_by_instance(answer: Answer, code: str, retry: bool) -> None:
    failure = stow.read_answer(answer, OURS)
    assert isinstance(failure, DeliveryFailed)
    assert (failure.code, failure.retry) == (code, retry)


@pytest.mark.parametrize("body", [b"[]", b"[1]", b'{"00081198": 7}', b'{"00081198": {"Value": [3, null]}}', b"\xff"])
def test_an_odd_answer_raises_nothing(body: bytes) -> None:
    assert stow.read_answer(Answer(200, {}, body), OURS) == 0
