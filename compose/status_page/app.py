"""The pages of a site and their addresses."""

from importlib.resources import files

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from compose.settings import SiteSettings
from compose.status_page.accounts import Accounts
from compose.status_page.actions import Actions
from compose.status_page.answers import KNOWN, Headers
from compose.status_page.course import CoursePage
from compose.status_page.deliveries import DeliveryList
from compose.status_page.exam import ExamPage
from compose.status_page.exams import ExamList
from compose.status_page.gate import Gate
from compose.status_page.login import LoginPages
from compose.status_page.logins import Logins
from compose.status_page.pictures import Pictures
from compose.status_page.roles import Role
from db.engine import open_database, open_for_reading
from dicom_node import scheduling
from dicom_node.spool.folder import Spool
from worker import destinations


def application(site: SiteSettings) -> Starlette:
    """Return the ASGI application of a site."""
    own = site.status_page
    reading, writing = open_for_reading(site.db_url), open_database(site.db_url)
    accounts = Accounts(own.accounts)
    logins = Logins(accounts, own.idle_s, own.login_s)
    gate = Gate(logins)
    exam_page = ExamPage(reading, writing, scheduling.retention(site.node))
    course = CoursePage(reading, exam_page)
    actions = Actions(writing, lambda: destinations.recipients(site.worker))
    shown = {
        "/": ExamList(reading, Spool(site.node.spool_dir)).show,
        "/deliveries": DeliveryList(reading).show,
        "/exams/{series_uid}": exam_page.show,
        "/exams/{series_uid}/course": course.show,
        "/exams/{series_uid}/{name}.png": Pictures(exam_page, site.worker.results_dir).show,
    }
    return Starlette(
        routes=[
            *LoginPages(accounts, logins, own.is_secure).routes(gate),
            *(Route(path, gate.shows(answer), methods=["GET"]) for path, answer in shown.items()),
            Route("/patients", gate.acts(course.find, Role.VIEWER), methods=["POST"]),
            Route("/jobs/{job_id:int}/{verb}", gate.acts(actions.of_job), methods=["POST"]),
            Route("/exams/{series_uid}/reconsider", gate.acts(actions.reconsider), methods=["POST"]),
            Mount("/static", StaticFiles(directory=str(files("compose.status_page") / "static"))),
        ],
        middleware=[Middleware(Headers, is_secure=own.is_secure)],
        exception_handlers=dict(KNOWN),
    )
