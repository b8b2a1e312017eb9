"""The state machines.

series    receiving → complete | broken | skipped       complete | broken | skipped → receiving (late images)
job       queued → running → encoded → delivered
          running → queued (again) | rejected | review | failed        encoded → failed
          failed | review → queued (by an operator)                    any but superseded → superseded
delivery  pending → sent → committed             pending → failed → pending (by an operator)
"""

from typing import Final

from db.errors import IllegalTransition

ARROWS: Final[dict[str, frozenset[tuple[str | None, str]]]] = {
    "series": frozenset(
        {
            (None, "receiving"),
            ("receiving", "complete"),
            ("receiving", "broken"),
            ("complete", "receiving"),
            ("broken", "receiving"),
            ("receiving", "skipped"),
            ("skipped", "receiving"),
        }
    ),
    "job": frozenset(
        {
            (None, "queued"),
            ("queued", "running"),
            ("running", "queued"),
            ("running", "encoded"),
            ("running", "rejected"),
            ("running", "review"),
            ("running", "failed"),
            ("encoded", "delivered"),
            ("encoded", "failed"),
            ("failed", "queued"),
            ("review", "queued"),
        }
        | {
            (state, "superseded")
            for state in ("queued", "running", "encoded", "delivered", "rejected", "review", "failed")
        }
    ),
    "delivery": frozenset(
        {
            (None, "pending"),
            ("pending", "sent"),
            ("sent", "committed"),
            ("pending", "failed"),
            ("failed", "pending"),
        }
    ),
}


def check(subject: str, from_state: str | None, to_state: str) -> None:
    """Raise :class:`IllegalTransition` unless the machine of ``subject`` has the arrow."""
    if (from_state, to_state) not in ARROWS[subject]:
        raise IllegalTransition(f"a {subject} cannot go from {from_state} to {to_state}")
