"""Makes HTML of templates. Whatever comes from images or rows is text there, sign by sign, and never markup."""

from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from compose.screen import shown
from compose.status_page import next_steps, words
from compose.status_page.logins import Login
from db.address import hide_secrets
from worker.reading.exam import day

LIVE = "live"


def _sign_by_sign(value: Any) -> Any:
    """Return what an expression gives, with control characters as their escapes: no text turns itself around."""
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _when(time: datetime | None) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if time else "–"


def _moment(time: datetime | None) -> str:
    return time.isoformat(timespec="seconds") if time else ""


ENVIRONMENT = Environment(
    loader=PackageLoader("compose.status_page"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_sign_by_sign,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters |= {
    "when": _when,
    "moment": _moment,
    "plain": words.plain,
    "query": lambda values: urlencode({name: value for name, value in values.items() if value}),
    "address": hide_secrets,
}
ENVIRONMENT.globals |= {
    "STATES": words.STATES,
    "KINDS": words.KINDS,
    "REGIONS": words.REGIONS,
    "day": day,
    "happened": words.happened,
    "said_of": words.said_of,
    "state_of": words.state_of,
    "todo": next_steps.for_series,
    "todo_delivery": next_steps.for_delivery,
}


def _title(login: Login | None, description: str) -> str:
    """Return how a series is called: some devices write the patient's name into its description."""
    if login is None or not login.account.sees_patients:
        return "CT series"
    return description or "Series without description"


def page(name: str, login: Login | None, status: int = 200, live: bool = False, **facts: Any) -> HTMLResponse:
    """Return a page; with ``live`` only that part of it which changes by itself."""
    template = ENVIRONMENT.get_template(name)
    notice = login.take_notice() if login is not None and not live else ""
    context = {"login": login, "notice": notice, "title_of": partial(_title, login), **facts}
    if not live:
        return HTMLResponse(template.render(context), status)
    return HTMLResponse("".join(template.blocks[LIVE](template.new_context(context))), status)
