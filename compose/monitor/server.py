"""Serves health and metrics. Neither names a patient, a study or a series."""

import asyncio
import logging
from datetime import UTC, datetime
from threading import Event, Thread

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from compose.errors import NotTold, UnusableSetting
from compose.monitor import channels
from compose.monitor.guard import require_channels, require_guard
from compose.monitor.metrics import SiteMetrics
from compose.monitor.notices import Notice, site_name, trial
from compose.monitor.notifier import Notifier
from compose.monitor.troubles import Troubles
from compose.monitor.watch import Watch
from compose.screen import say
from compose.settings import SiteSettings
from dicom_node.stow import bearer
from dicom_node.stow.connections import CountingListener, DeadlineProtocol
from dicom_node.stow.server import serve

logger = logging.getLogger(__name__)
REQUEST_TIMEOUT_S = 10
PLACES_OF_AN_ADDRESS = 32


class Pages:
    """The answers."""

    def __init__(self, site: SiteSettings, watch: Watch) -> None:
        self._watch = watch
        self._metrics = SiteMetrics(site, watch)
        token = site.monitor.token
        self._token = token.get_secret_value().encode() if token else None

    def application(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/health/live", self.live),
                Route("/health/ready", self.ready),
                Route("/metrics", self.metrics),
            ]
        )

    def live(self, _request: Request) -> JSONResponse:
        """200 while the monitor itself goes on looking."""
        return JSONResponse({"live": self._watch.is_alive}, 200 if self._watch.is_alive else 503)

    def ready(self, _request: Request) -> JSONResponse:
        """200 where every part does its work, else 503 with the reason of each that does not."""
        checks = self._watch.checks
        reasons = [f"{check.name}: {check.found}" for check in checks if not check.ok]
        if not self._watch.is_alive:
            reasons.append("monitor: does not look any more")
        parts = {check.name: {"ready": check.ok, "found": check.found} for check in checks}
        return JSONResponse({"ready": not reasons, "reasons": reasons, "parts": parts}, 503 if reasons else 200)

    def metrics(self, request: Request) -> Response:
        """The numbers, for Prometheus."""
        bearer.require(request, self._token)
        return Response(self._metrics.text(), media_type=CONTENT_TYPE_LATEST)


def run(site: SiteSettings, stop: Event) -> None:
    """Watch and serve until ``stop`` is set. Raises UnusableSetting where strangers could read the numbers."""
    require_guard(site.monitor)
    require_channels(site.monitor)
    watch = Watch(site)
    beside = [Thread(target=watch.run, args=(stop,), name="watch", daemon=True)]
    if ways := channels.of(site.monitor):
        told = Notifier(site_name(site), Troubles(site, watch).now, ways, site.monitor.notify_after_s)
        # A channel may be slow, and is no reason to look less often.
        beside.append(Thread(target=told.run, args=(stop,), name="notifications", daemon=True))
    config = uvicorn.Config(
        Pages(site, watch).application(),
        http=DeadlineProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=REQUEST_TIMEOUT_S,
    )
    with CountingListener(site.monitor.host, site.monitor.port, PLACES_OF_AN_ADDRESS) as listener:
        logger.info("monitor", extra={"host": site.monitor.host, "port": site.monitor.port})
        for thread in beside:
            thread.start()
        asyncio.run(serve(uvicorn.Server(config), listener, stop))
    beside[0].join()


def try_channels(site: SiteSettings) -> None:
    """Send a trial by each way to tell people, and print what became of it.

    Raises
    ------
    UnusableSetting
        The settings name no way, or lack something.
    NotTold
        One of them did not take it; all were tried.
    """
    require_channels(site.monitor)
    ways = channels.of(site.monitor)
    if not ways:
        raise UnusableSetting("nobody is told: set MONITOR_WEBHOOK or MONITOR_MAIL_SERVER")
    faults = {way.name: _fault(way, trial(site, datetime.now(UTC).astimezone())) for way in ways}
    for name in (name for name, fault in faults.items() if fault is None):
        say(f"{name}: told")
    if failed := [f"{name}: {fault}" for name, fault in faults.items() if fault]:
        raise NotTold("; ".join(failed))


def _fault(way: channels.Channel, notice: Notice) -> str | None:
    try:
        way.tell(notice)
    except NotTold as error:
        return str(error)
    return None
