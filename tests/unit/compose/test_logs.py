"""Log lines: one an event, whatever is in it, and of a library only so many."""

import json
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from compose.log_lines import Limiter
from compose.logs import LONGEST, LONGEST_OF_LIBRARIES, ConsoleLines, JsonLines

EVIL = "A\0B\x1b[31mC\nD\r\u2028E"
ESCAPED = r"A\x00B\x1b[31mC\nD\r\u2028E"


def record(name: str = "worker.analysis_task", message: str = "job ended", **facts: Any) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": name} | facts)


def failed(name: str, error: Exception) -> logging.LogRecord:
    """A record as ``logger.exception`` makes it."""
    try:
        raise error
    except type(error) as caught:
        return record(name, "it broke", exc_info=(type(caught), caught, caught.__traceback__))


def test_a_json_line_carries_the_facts() -> None:
    line = json.loads(JsonLines().format(record(job_id=7, code="no_lungs", rejection=(1, 1, 3))))
    assert (line["message"], line["job_id"], line["code"]) == ("job ended", 7, "no_lungs")
    assert line["rejection"] == [1, 1, 3]


def test_a_console_line_has_time_with_offset_and_facts() -> None:
    at, said = ConsoleLines().format(record(job_id=7, code="no_lungs")).split(" ", 1)
    assert datetime.fromisoformat(at).utcoffset() is not None
    assert said == "INFO    job ended  job_id=7 code=no_lungs"


@pytest.mark.parametrize("form", [ConsoleLines, JsonLines])
@pytest.mark.parametrize("name", ["dicom_node.scp.listener", "pynetdicom.dul"])
def test_control_characters_are_escaped_in_messages_and_facts(form: type[logging.Formatter], name: str) -> None:
    line = form().format(record(name, EVIL, calling_ae=EVIL, names=[EVIL], by={EVIL: EVIL}))
    assert line.isprintable()
    read = str(json.loads(line)) if form is JsonLines else line
    assert read.replace("\\\\", "\\").count(ESCAPED) == 5


@pytest.mark.parametrize("form", [ConsoleLines, JsonLines])
def test_an_error_is_on_the_same_line_with_its_place(form: type[logging.Formatter]) -> None:
    line = form().format(failed("worker.analysis_task", ValueError(EVIL)))
    assert line.isprintable()
    assert "Traceback" not in line
    assert "test_logs.py:" in line


def test_what_a_library_says_is_cut_and_ours_is_longer() -> None:
    for name, cut in (("pydicom", True), ("dicom_node.scp.listener", False)):
        line = json.loads(JsonLines().format(record(name, "x" * (LONGEST_OF_LIBRARIES + 50))))
        assert (len(line["message"]) == LONGEST_OF_LIBRARIES + 1) is cut


def test_a_slip_in_the_arguments_of_a_line_costs_no_line() -> None:
    assert "%d things" in ConsoleLines().format(record("kombu", "%d things", args=("no number",)))


def counting(limiter: Limiter) -> Callable[[str], list[str]]:
    return lambda name: [one.getMessage() for one in limiter.admitted(record(name))]


def test_a_library_that_says_too_much_is_cut_short_and_counted() -> None:
    now = [0.0]
    admit = counting(Limiter(lines=2, clock=lambda: now[0]))
    said = [admit(name) for name in ("pynetdicom.dul", "pynetdicom.fsm", "pynetdicom.dul", "pynetdicom.dul")]
    assert said == [["job ended"], ["job ended", "more lines of it are left out for up to 60 s"], [], []]
    assert admit("pydicom") == ["job ended"], "each library has its own measure"
    now[0] = 61.0
    assert admit("dicom_node.scp.listener") == ["2 lines of it were left out", "job ended"]
    assert admit("pynetdicom.dul") == ["job ended"]


def test_our_own_lines_are_never_left_out() -> None:
    admit = counting(Limiter(lines=2, clock=lambda: 0.0))
    assert [admit("dicom_node.scp.listener") for _ in range(10)] == [["job ended"]] * 10


@pytest.mark.parametrize("form", [ConsoleLines, JsonLines])
def test_no_line_holds_the_secret_of_a_url(form: type[logging.Formatter]) -> None:
    url = "https://me:s3cret@pacs.example/dicom-web?token=s3cret"
    for long in ("", "x" * (LONGEST - 15)):
        line = form().format(record(message=f"{long}{url}", source=url, facts={"by": [url]}))
        assert "s3cr" not in line
