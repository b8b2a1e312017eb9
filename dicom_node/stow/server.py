"""Receives by STOW-RS (PS3.18 10.5) into the spool; success is answered for images that are durable there."""

import asyncio
import logging
import math
import ssl
import time
from collections.abc import AsyncIterator
from threading import Event

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from db.tls_profile import CIPHERS_OF_TLS_1_2
from dicom_node import multipart
from dicom_node.errors import BadSetting
from dicom_node.multipart import Malformed, PartReader, TooLarge
from dicom_node.own_tls import own_files
from dicom_node.pace import Pace, TooSlow
from dicom_node.settings import NodeSettings
from dicom_node.spool.arriving import ArrivingFile
from dicom_node.spool.associations import OpenSeries
from dicom_node.spool.folder import Spool
from dicom_node.spool.part10 import Way
from dicom_node.stow import bearer
from dicom_node.stow.connections import CountingListener, DeadlineProtocol
from dicom_node.stow.outcome import Outcome, PartBody

logger = logging.getLogger(__name__)
SENDER = "STOW-RS"
RETRY_AFTER_S = 60
STOP_POLL_S = 0.2


class Store:
    """The store service over one spool."""

    def __init__(self, spool: Spool, settings: NodeSettings) -> None:
        self._spool = spool
        self._way = Way(SENDER, settings.ae_title)
        self._token = settings.web_token.get_secret_value().encode() if settings.web_token else None
        self._max_bytes = settings.max_instance_mb * 1_000_000
        self._silence_s, self._least_rate = settings.network_timeout_s, settings.min_bytes_per_s
        self._free = settings.max_associations

    def application(self) -> Starlette:
        """Return the ASGI application."""
        paths = ("/dicom-web/studies", "/dicom-web/studies/{study_uid}")
        return Starlette(routes=[Route(path, self.store, methods=["POST"]) for path in paths])

    async def store(self, request: Request) -> JSONResponse:
        """Keep every image of a request, and answer for each whether it was kept."""
        bearer.require(request, self._token)
        outcome = Outcome()
        reader = self._reader(request, outcome)
        if not self._free:
            raise HTTPException(503, "as many requests are at work as are allowed", {"Retry-After": str(RETRY_AFTER_S)})
        self._free -= 1
        try:
            await self._take(request, reader)
        finally:
            self._free += 1
            reader.discard()
        if not outcome.kept and not outcome.failed:
            raise HTTPException(400, "the body holds no part")
        if not outcome.failed:
            OpenSeries(self._spool.associations).mend_all(own.series_uid for own in outcome.kept)
        headers = {"Retry-After": str(RETRY_AFTER_S)} if outcome.status == 503 else None
        logger.info("STOW-RS", extra={"kept": len(outcome.kept), "failed": len(outcome.failed)})
        return JSONResponse(outcome.as_json(), outcome.status, headers, media_type="application/dicom+json")

    def _reader(self, request: Request, outcome: Outcome) -> PartReader:
        study_uid = request.path_params.get("study_uid")
        try:
            root, limiter = multipart.boundary(request.headers.get("content-type", ""))
        except Malformed as error:
            raise HTTPException(415, str(error)) from error
        if root not in {"", multipart.DICOM}:
            raise HTTPException(415, f"only parts of {multipart.DICOM} are taken")
        try:
            return PartReader(
                limiter,
                self._max_bytes,
                lambda: PartBody(ArrivingFile(self._spool, self._way), study_uid, outcome, self._spool.refusals),
            )
        except Malformed as error:
            raise HTTPException(400, str(error)) from error

    async def _take(self, request: Request, reader: PartReader) -> None:
        try:
            async for chunk in self._chunks(request):
                await run_in_threadpool(reader.feed, chunk)
            reader.close()
        except TooLarge as error:
            raise HTTPException(413, str(error)) from error
        except Malformed as error:
            # Images that came before the fault are kept. The sender hears only of the failure and sends all again; the
            # same images then change nothing.
            raise HTTPException(400, str(error)) from error
        except (TimeoutError, TooSlow, ClientDisconnect) as error:
            raise HTTPException(408, "the body did not come to its end") from error

    async def _chunks(self, request: Request) -> AsyncIterator[bytes]:
        stream, pace = request.stream(), Pace(self._least_rate, self._silence_s)
        while True:
            begun = time.monotonic()
            try:
                chunk = await asyncio.wait_for(anext(stream), self._silence_s)
            except StopAsyncIteration:
                return
            pace.came(len(chunk), time.monotonic() - begun)
            yield chunk


def run(settings: NodeSettings, stop: Event) -> None:
    """Serve until ``stop`` is set.

    Raises
    ------
    BadSetting
        Neither a token nor client certificates are set, or a TLS file is missing.
    """
    spool = Spool(settings.spool_dir, settings.min_free_mb)
    spool.prepare()
    server = uvicorn.Server(configuration(settings, Store(spool, settings).application()))
    with CountingListener(
        settings.host or "127.0.0.1", settings.web_port or 0, settings.max_associations_per_peer
    ) as listener:
        asyncio.run(serve(server, listener, stop))


async def serve(server: uvicorn.Server, listener: CountingListener, stop: Event) -> None:
    """Serve on a socket until ``stop`` is set."""
    serving = asyncio.create_task(server.serve([listener]))
    while not stop.is_set() and not serving.done():
        await asyncio.sleep(STOP_POLL_S)
    server.should_exit = True
    await serving


def require_guard(settings: NodeSettings) -> None:
    """Raise BadSetting where anybody could send: no token and no client certificates, or only a part of the TLS."""
    if own_files(settings) is None and settings.web_token is None:
        raise BadSetting("STOW-RS needs DICOM_NODE_WEB_TOKEN or client certificates (DICOM_NODE_TLS_CLIENT_CA)")


def configuration(settings: NodeSettings, application: Starlette) -> uvicorn.Config:
    """Return the server's configuration: limits, and TLS where the settings name its files."""
    require_guard(settings)
    tls = own_files(settings)
    config = uvicorn.Config(
        application,
        http=DeadlineProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=math.ceil(settings.request_timeout_s),
        ssl_certfile=tls.certificate if tls else None,
        ssl_keyfile=tls.key if tls else None,
        ssl_ca_certs=str(tls.authority) if tls else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if tls else ssl.CERT_NONE,
        ssl_ciphers=CIPHERS_OF_TLS_1_2,
    )
    try:
        config.load()
    except OSError as error:
        raise BadSetting("the TLS files cannot be used: see DICOM_NODE_TLS_CERT, _KEY, _CLIENT_CA") from error
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return config
