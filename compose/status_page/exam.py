"""The page of one series: where it is and why, its numbers, pictures, deliveries and trail."""

from datetime import UTC, datetime

from sqlalchemy.orm import Session, sessionmaker
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from compose.status_page import what_may_be_done
from compose.status_page.extents import extent_bars
from compose.status_page.gate import POLL
from compose.status_page.logins import Login
from compose.status_page.picture_names import pictures_of
from compose.status_page.rendering import page
from compose.status_page.way import way
from db import tracking
from db.series_record import SeriesRecord, series_record
from db.tracking import Retention


class ExamPage:
    """The page, and the note that somebody saw it."""

    def __init__(self, rows: sessionmaker[Session], writing: sessionmaker[Session], retention: Retention) -> None:
        self._rows, self._writing, self._retention = rows, writing, retention

    def show(self, request: Request, login: Login) -> Response:
        """Show a series. Every opening of the page is an event of the series; that it renews itself is none."""
        series_uid, is_poll = request.path_params["series_uid"], POLL in request.headers
        record = self.record(series_uid)
        if not is_poll or series_uid not in login.opened:
            self.note(login, [series_uid])
            record = self.record(series_uid)
        return page(
            "exam.html",
            login,
            live=is_poll,
            record=record,
            exam=record.status,
            way=way(record.status),
            bars=extent_bars(record.numbers),
            pictures=pictures_of(record),
            actions=what_may_be_done.of(record.status) if login.is_operator else (),
            patients=record.patients if login.account.sees_patients else (),
        )

    def record(self, series_uid: str) -> SeriesRecord:
        """Return what is known of a series. Raises 404 where it is unknown."""
        with self._rows.begin() as session:
            found = series_record(session, series_uid, self._retention)
        if found is None:
            raise HTTPException(404, "No image of this series was registered here.")
        return found

    def note(self, login: Login, series_uids: list[str]) -> None:
        """Note in the trail of each series that this person saw it."""
        shown = "images, numbers and patient" if login.account.sees_patients else "images and numbers"
        with self._writing.begin() as session:
            tracking.viewed(session, series_uids, login.account.who, datetime.now(UTC), shown)
        login.opened.update(series_uids)

    def note_unless_opened(self, login: Login, series_uid: str) -> None:
        """Note it where this login has not opened the page of the series: what is shown comes by another way."""
        if series_uid not in login.opened:
            self.note(login, [series_uid])
