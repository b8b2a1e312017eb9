"""What an operator does: each an event in the trail, by the same functions as the commands use."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sqlalchemy.orm import Session, sessionmaker
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from compose.status_page.gate import Form
from compose.status_page.logins import Login
from db import tracking
from db.errors import TrackingError
from db.tracking import Recipient

# Does it, and returns what to say of it.
Deed = Callable[[Session, int, str, datetime], str]


class Actions:
    """The buttons. ``recipients`` are asked for at each release: the site file may have changed."""

    def __init__(self, writing: sessionmaker[Session], recipients: Callable[[], Sequence[Recipient]]) -> None:
        self._writing, self._recipients = writing, recipients
        self._deeds: dict[str, Deed] = {
            "retry": _retry,
            "release": self._release,
            "discard": _discard,
            "recompute": _recompute,
        }

    def of_job(self, request: Request, login: Login, form: Form) -> Response:
        """Act on a job, and go back to where the button was."""
        deed = self._deeds.get(request.path_params["verb"])
        if deed is None:
            raise HTTPException(404, "There is no such button.")
        login.notice = self._done(
            lambda session: deed(session, request.path_params["job_id"], login.account.who, datetime.now(UTC))
        )
        return _back(form)

    def reconsider(self, request: Request, login: Login, form: Form) -> Response:
        """Have a skipped series judged anew."""
        series_uid = request.path_params["series_uid"]

        def deed(session: Session) -> str:
            tracking.reconsider(session, series_uid, login.account.who, datetime.now(UTC))
            return "The series is judged anew within seconds."

        login.notice = self._done(deed)
        return _back(form)

    def _done(self, deed: Callable[[Session], str]) -> str:
        try:
            with self._writing.begin() as session:
                return deed(session)
        except TrackingError as error:
            # Somebody else was quicker, or the job has gone on meanwhile.
            return f"Nothing was done: {error}."

    def _release(self, session: Session, job_id: int, who: str, now: datetime) -> str:
        objects = tracking.release(session, job_id, self._recipients(), who, now)
        return f"Job {job_id} is released, {objects} objects are to be sent."


def _retry(session: Session, job_id: int, who: str, now: datetime) -> str:
    due = tracking.retry(session, job_id, who, now)
    return f"{due} deliveries of job {job_id} are due now." if due else f"Job {job_id} is queued again."


def _discard(session: Session, job_id: int, who: str, now: datetime) -> str:
    tracking.discard(session, job_id, who, now)
    return f"Job {job_id} is discarded."


def _recompute(session: Session, job_id: int, who: str, now: datetime) -> str:
    tracking.recompute(session, job_id, who, now)
    return f"Job {job_id} is queued, to be computed anew."


def _back(form: Form) -> Response:
    """Go back to one of our own pages."""
    place = form.get("back", "")
    return RedirectResponse(f"/exams/{place}" if place.replace(".", "").isdecimal() else "/deliveries", 303)
