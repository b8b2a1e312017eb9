"""The status page of a site whose rows a test wrote, and people who click on it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from compose.settings import SiteSettings
from compose.status_page.accounts import Accounts
from compose.status_page.app import application
from compose.status_page.roles import Role
from compose.status_page.settings import StatusPageSettings
from db.settings import DbSettings
from dicom_node.settings import NodeSettings
from worker.settings import WorkerSettings

PASSWORD = "correct horse battery"  # noqa: S105  of these tests alone
# name: role, and whether patients are shown
PEOPLE = {"anna": (Role.OPERATOR, True), "bert": (Role.VIEWER, False), "clara": (Role.VIEWER, True)}
CSRF = re.compile(r'name="csrf" value="([^"]+)"')


def site(folder: Path, db_url: str, **own: Any) -> SiteSettings:
    """Return the settings of a site with three accounts."""
    page = StatusPageSettings(accounts=folder / "accounts.json", **own)
    accounts = Accounts(page.accounts)
    for name, (role, sees_patients) in PEOPLE.items():
        accounts.put(name, role, sees_patients, PASSWORD)
    worker = WorkerSettings(results_dir=folder / "results", destinations=("dicom://PACS@10.0.0.5:104",))
    return SiteSettings(DbSettings(url=db_url), NodeSettings(spool_dir=folder / "spool"), worker, status_page=page)


class Person:
    """Somebody before a browser that follows no redirect by itself."""

    def __init__(self, of: SiteSettings, base_url: str = "http://127.0.0.1:11181") -> None:
        self._client = TestClient(application(of), base_url=base_url, follow_redirects=False)

    def log_in(self, name: str, password: str = PASSWORD, **form: str) -> Any:
        """Send the form of the login."""
        return self._client.post("/login", data={"name": name, "password": password} | form)

    def get(self, path: str, **headers: str) -> Any:
        """Open an address."""
        return self._client.get(path, headers=headers)

    def csrf(self) -> str:
        """Return the secret that the forms of this login bear."""
        found = CSRF.search(self.get("/").text)
        assert found is not None
        return found[1]

    def post(self, path: str, form: Mapping[str, str] | None = None, **headers: str) -> Any:
        """Send a form as the page would, with its secret."""
        return self._client.post(path, data={"csrf": self.csrf()} | dict(form or {}), headers=headers)

    def post_bare(self, path: str, form: Mapping[str, str] | None = None, **headers: str) -> Any:
        """Send a form that is not of the page."""
        return self._client.post(path, data=dict(form or {}), headers=headers)


def logged_in(of: SiteSettings, name: str) -> Person:
    """Return somebody who is logged in."""
    person = Person(of)
    answer = person.log_in(name)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    return person
