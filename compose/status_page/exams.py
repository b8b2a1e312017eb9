"""The first page: every series, newest first, by state, code, sender and day."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session, sessionmaker
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from compose.status_page import words
from compose.status_page.gate import POLL
from compose.status_page.logins import Login
from compose.status_page.rendering import page
from db import audit
from db.audit import Wanted
from dicom_node.spool import backlog
from dicom_node.spool.folder import Spool

OF_A_PAGE = 50
LAST_PAGE = 2000


@dataclass(frozen=True)
class Filters:
    """What the form above the list says, as it was written."""

    state: str = ""
    code: str = ""
    sender: str = ""
    since: str = ""
    until: str = ""
    page: int = 1

    @classmethod
    def of(cls, asked: QueryParams) -> "Filters":
        """Read the filters of an address. Raises 400 for a day, state or page that is none."""
        try:
            number = int(asked.get("page", "1"))
        except ValueError as error:
            raise HTTPException(400, "There is no such page.") from error
        texts = {name: asked.get(name, "").strip() for name in ("state", "code", "sender", "since", "until")}
        found = cls(page=number, **texts)
        if found.state and found.state not in words.STATES:
            raise HTTPException(400, "There is no such state.")
        if not 1 <= number <= LAST_PAGE:
            raise HTTPException(400, "There is no such page.")
        return found

    def wanted(self) -> Wanted:
        """Return the question to the rows, for one series more than a page has."""
        until = _day(self.until)
        return Wanted(
            state=self.state or None,
            code=self.code or None,
            sender=self.sender or None,
            since=_day(self.since),
            until=until + timedelta(days=1) if until else None,
            limit=OF_A_PAGE + 1,
            offset=(self.page - 1) * OF_A_PAGE,
        )

    def query(self, **changes: Any) -> dict[str, Any]:
        """Return the fields of an address with other values; the page begins at the first again."""
        fields = vars(replace(self, **({"page": 1} | changes)))
        return {name: value for name, value in fields.items() if value not in ("", 1)}


class ExamList:
    """The list."""

    def __init__(self, rows: sessionmaker[Session], spool: Spool) -> None:
        self._rows, self._spool = rows, spool

    def show(self, request: Request, login: Login) -> Response:
        """Show one page of the list. It names no patient."""
        filters = Filters.of(request.query_params)
        wanted = filters.wanted()
        with self._rows.begin() as session:
            counts = audit.series_by_state(session)
            found = audit.status(session, wanted=wanted)
        return page(
            "exams.html",
            login,
            live=POLL in request.headers,
            filters=filters,
            counts={state: counts.get(state, 0) for state in words.STATES if state != "superseded"},
            troubled=words.TROUBLED,
            exams=found[:OF_A_PAGE],
            has_more=len(found) > OF_A_PAGE,
            backlog=backlog.waiting(self._spool, datetime.now(UTC)),
            set_aside=backlog.set_aside(self._spool),
        )


def _day(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d").astimezone() if text else None
    except (ValueError, OverflowError) as error:
        raise HTTPException(400, "A day is written as 2026-01-31.") from error
