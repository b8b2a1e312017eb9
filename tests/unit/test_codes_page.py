"""The page by code: as the status page says it, and every code that a job or delivery may end with is there."""

import re

from compose.status_page import next_steps
from tests import codes_page
from tests.support import REPOSITORY

CODE = re.compile(r"\bcode=\"([a-z_]+)\"|^    code(?:: str)? = \"([a-z_]+)\"", re.MULTILINE)
# Bases whose every use names a code of its own.
ABSTRACT = {"pipeline_error", "input_rejected", "implausible_result", "model_failed", "peer_refused"}
# They pass by themselves, or no person meets them: what they lead to has a code and a step.
PASSING = {"peer_unreachable", "file_unavailable", "no_proof_offered", "too_mixed"}


def raised() -> set[str]:
    """Every code that the worker's stages and deliveries raise."""
    worker = REPOSITORY / "worker"
    files = [path for path in worker.rglob("*.py") if not path.is_relative_to(worker / "training")]
    return {one or other for path in files for one, other in CODE.findall(path.read_text(encoding="utf-8"))}


def test_the_page_says_what_the_status_page_says() -> None:
    assert codes_page.PAGE.read_text(encoding="utf-8") == "\n".join(codes_page.lines()) + "\n"


def test_every_code_that_stops_work_has_a_step() -> None:
    known = {code for _, _, steps in codes_page.TABLES for code in steps}
    assert len(raised()) > 50
    assert sorted(raised() - known - ABSTRACT - PASSING) == []
    assert set(next_steps.REFUSED) <= raised()
