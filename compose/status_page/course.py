"""The course of a patient: the extents from exam to exam, and every series of theirs."""

from dataclasses import dataclass

from sqlalchemy.orm import Session, sessionmaker
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from compose.status_page.course_chart import Chart, chart_of
from compose.status_page.exam import ExamPage
from compose.status_page.gate import Form
from compose.status_page.logins import Login
from compose.status_page.rendering import page
from db import audit, tracking
from db.audit import SeriesStatus, Wanted
from worker import past
from worker.analysis import serial
from worker.analysis.serial import Comparison, Timepoint

MOST_SERIES = 50


@dataclass(frozen=True)
class Course:
    """The measured exams of one patient, newest first, each with what changed since the one before; and all series.

    ``strangers`` are exams under the same ID with another issuer, name or birth date: they are not compared.
    """

    rows: tuple[tuple[Timepoint, Comparison | None], ...]
    strangers: tuple[tuple[Timepoint, tuple[str, ...]], ...]
    chart: Chart | None
    series: tuple[SeriesStatus, ...]


class CoursePage:
    """The page, and the search that leads to it."""

    def __init__(self, rows: sessionmaker[Session], exam_page: ExamPage) -> None:
        self._rows, self._exam_page = rows, exam_page

    def find(self, _request: Request, login: Login, form: Form) -> Response:
        """Go to the course of a patient. The ID travels in the form: an address would stay in logs and histories."""
        if not login.account.sees_patients:
            raise HTTPException(403, "Your account may not look for patients.")
        with self._rows.begin() as session:
            found = audit.status(session, wanted=Wanted(patient_id=form.get("patient", "").strip(), limit=1))
        if not found:
            login.notice = "No image of a patient with this ID was registered here."
            return RedirectResponse("/", 303)
        return RedirectResponse(f"/exams/{found[0].series_uid}/course", 303)

    def show(self, request: Request, login: Login) -> Response:
        """Show the course of the patient of a series; that is an event of each series shown."""
        series_uid = request.path_params["series_uid"]
        record = self._exam_page.record(series_uid)
        if len(record.patients) != 1 or not record.patients[0].patient_id.strip():
            raise HTTPException(404, "The images of this series name no patient, or several: there is no course.")
        (patient,) = record.patients
        with self._rows.begin() as session:
            course = _course(session, patient.patient_id, series_uid)
        self._exam_page.note(login, [one.series_uid for one in course.series])
        shown = patient if login.account.sees_patients else None
        return page("course.html", login, course=course, patient=shown, series_uid=series_uid)


def _course(session: Session, patient_id: str, series_uid: str) -> Course:
    points = [past.timepoint_of(row) for row in tracking.exams_of(session, patient_id.strip())]
    named = next((point for point in points if point.series_uid == series_uid), points[-1] if points else None)
    own, strangers = serial.split(points, named.exam.patient) if named else ((), ())
    return Course(
        rows=tuple((point, serial.with_earlier(own, point)) for point in reversed(own)),
        strangers=tuple((p, serial.conflicts(p.exam.patient, named.exam.patient)) for p in strangers if named),
        chart=chart_of(own),
        series=tuple(audit.status(session, wanted=Wanted(patient_id=patient_id, limit=MOST_SERIES))),
    )
