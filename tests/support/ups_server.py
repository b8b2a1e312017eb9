"""A UPS-RS worklist that holds to the Standard: the state machine of PS3.4 Table CC.1.1-2 with its transaction UID, the
requirements of a final state, subscriptions and events; what a real one refuses it refuses."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.support import services

SCHEDULED, IN_PROGRESS, COMPLETED, CANCELED = "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"
FINAL = {COMPLETED, CANCELED}
PERFORMED = (
    *("PerformedStationNameCodeSequence", "PerformedWorkitemCodeSequence", "OutputInformationSequence"),
    *("PerformedProcedureStepStartDateTime", "PerformedProcedureStepEndDateTime"),
)
DISCONTINUED = ("ProcedureStepCancellationDateTime", "ProcedureStepDiscontinuationReasonCodeSequence")


@dataclass
class UpsServer:
    """The worklist: its items, who may ask, and what was asked.

    ``statuses`` are answered to the next requests, which are not done; of requests that match ``unanswered`` what they
    ask is done, and the answer is lost. ``done`` is called when a request is done and not answered yet.
    """

    port: int = 0
    items: dict[str, Dataset] = field(default_factory=dict)
    locks: dict[str, str] = field(default_factory=dict)
    subscribers: dict[str, set[str]] = field(default_factory=dict)
    token: str | None = None
    subscribes: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    done: Callable[[str, str], None] | None = None
    sockets: dict[str, list[WebSocket]] = field(default_factory=dict)
    loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def add(self, item: Dataset) -> str:
        """Schedule an item."""
        self.items[str(item.SOPInstanceUID)] = item
        return str(item.SOPInstanceUID)

    def state(self, uid: str) -> str:
        """Return the state of an item."""
        return str(self.items[uid].ProcedureStepState)

    def changes(self, uid: str) -> list[str]:
        """Return the requests for another state of an item that were made."""
        return [path for method, path in self.asked if method == "PUT" and f"/{uid}/" in path]

    def ask_to_cancel(self, uid: str, reason: str) -> int:
        """Ask to cancel an item, as who requested it does; return the HTTP status."""
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(self._cancel(uid, reason), self.loop).result(10)

    async def _cancel(self, uid: str, reason: str) -> int:
        state = self.state(uid)
        if state == COMPLETED:
            return 409
        if state == SCHEDULED:
            self.items[uid].ProcedureStepState = CANCELED
        elif state == IN_PROGRESS:
            event = Dataset()
            event.AffectedSOPInstanceUID, event.EventTypeID = uid, 2
            event.RequestingAE, event.ReasonForCancellation = "REQUESTER", reason
            for subscriber in self.subscribers.get(uid, ()):
                for socket in self.sockets.get(subscriber, ()):
                    await socket.send_text(json.dumps(event.to_json_dict()))
        return 202

    def listeners(self) -> int:
        """Return how many connections for events are open."""
        return sum(len(some) for some in self.sockets.values())

    def routes(self) -> list[Any]:
        """Return what it serves."""
        one = "/dicom-web/workitems/{uid}"
        return [
            Route("/dicom-web/workitems", self._guarded(self._search)),
            Route(one, self._guarded(self._retrieve)),
            Route(one, self._guarded(self._update), methods=["POST"]),
            Route(f"{one}/state", self._guarded(self._change), methods=["PUT"]),
            Route(f"{one}/subscribers/{{ae}}", self._guarded(self._subscribe), methods=["POST"]),
            WebSocketRoute("/dicom-web/events/{ae}", self._events),
        ]

    def _guarded(self, answer: Any) -> Any:
        async def guarded(request: Request) -> Response:
            self.loop = asyncio.get_running_loop()
            self.asked.append((request.method, str(request.url.path)))
            if self.token is not None and request.headers.get("authorization") != f"Bearer {self.token}":
                return Response(status_code=401)
            if self.statuses:
                return Response(status_code=self.statuses.pop(0))
            said: Response = await answer(request)
            if self.done is not None:
                self.done(request.method, str(request.url.path))
            if any(word in f"{request.method} {request.url.path}" for word in self.unanswered):
                # What was asked is done, and nobody hears of it.
                return Response(status_code=504)
            return said

        return guarded

    async def _search(self, request: Request) -> Response:
        keys = {name: value for name, value in request.query_params.items() if name not in {"limit", "includefield"}}
        found = [item for item in self.items.values() if all(_matches(item, *key) for key in keys.items())]
        some = found[: int(request.query_params.get("limit", 100))]
        if not some:
            return Response(status_code=204)
        return JSONResponse([_shown(one) for one in some], media_type="application/dicom+json")

    async def _retrieve(self, request: Request) -> Response:
        item = self.items.get(request.path_params["uid"])
        if item is None:
            return Response(status_code=404)
        return JSONResponse([_shown(item)], media_type="application/dicom+json")

    async def _update(self, request: Request) -> Response:
        uid, changes = request.path_params["uid"], await _dataset(request)
        if uid not in self.items:
            return Response(status_code=404)
        if changes is None or "ProcedureStepState" in changes or "SOPInstanceUID" in changes:
            return Response(status_code=400)
        given = request.query_params.get("transaction-uid")
        if self.state(uid) != IN_PROGRESS or given != self.locks.get(uid) or given != changes.get("TransactionUID"):
            return Response(status_code=409)
        del changes.TransactionUID
        self.items[uid].update(changes)
        return Response(status_code=200)

    async def _change(self, request: Request) -> Response:
        uid, asked = request.path_params["uid"], await _dataset(request)
        if uid not in self.items:
            return Response(status_code=404)
        if asked is None or set(asked.dir()) != {"ProcedureStepState", "TransactionUID"}:
            return Response(status_code=400)
        now, to, by = self.state(uid), str(asked.ProcedureStepState), str(asked.TransactionUID)
        is_free = now == SCHEDULED and to == IN_PROGRESS
        is_same = now == to and to in FINAL
        may_end = now == IN_PROGRESS and to in FINAL and self._may_end(uid, to)
        if not is_free and self.locks.get(uid) != by:
            return _refused(409, "C301 the transaction UID is not correct")
        if not (is_free or is_same or may_end):
            return _refused(409, "C302 C304 C310 C300 it may not go there")
        self.locks.setdefault(uid, by)
        self.items[uid].ProcedureStepState = to
        return Response(status_code=200)

    def _may_end(self, uid: str, state: str) -> bool:
        item = self.items[uid]
        named = ("UnifiedProcedureStepPerformedProcedureSequence", PERFORMED)
        sequence, wanted = named if state == COMPLETED else ("ProcedureStepProgressInformationSequence", DISCONTINUED)
        found = item.get(sequence)
        return bool(found) and all(found[0].get(keyword) for keyword in wanted)

    async def _subscribe(self, request: Request) -> Response:
        if not self.subscribes:
            return Response(status_code=403)
        uid, ae = request.path_params["uid"], request.path_params["ae"]
        if uid not in self.items:
            return Response(status_code=404)
        self.subscribers.setdefault(uid, set()).add(ae)
        where = f"ws://127.0.0.1:{self.port}/dicom-web/events/{ae}"
        return Response(status_code=201, headers={"Content-Location": where})

    async def _events(self, socket: WebSocket) -> None:
        if self.token is not None and socket.headers.get("authorization") != f"Bearer {self.token}":
            await socket.close()
            return
        await socket.accept()
        ours = self.sockets.setdefault(socket.path_params["ae"], [])
        ours.append(socket)
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            ours.remove(socket)


def _refused(status: int, why: str) -> Response:
    return Response(status_code=status, headers={"Warning": f"299 worklist: {why}"})


async def _dataset(request: Request) -> Dataset | None:
    if request.headers.get("content-type") != "application/dicom+json":
        return None
    said = json.loads(await request.body())
    return Dataset.from_json(said[0] if isinstance(said, list) else said)


def _shown(item: Dataset) -> dict[str, Any]:
    return item.to_json_dict()


def _matches(item: Dataset, name: str, value: str) -> bool:
    keyword, _, inner = name.partition(".")
    assert tag_for_keyword(keyword) is not None, name
    if not inner:
        return str(item.get(keyword, "")) == value
    return any(str(one.get(inner, "")) == value for one in item.get(keyword) or ())


@contextmanager
def running(port: int = 0, server: UpsServer | None = None) -> Iterator[UpsServer]:
    """Run a worklist for the length of the block; one that ran before goes on with its items."""
    one = server or UpsServer()
    one.port = port or one.port or services.free_port()
    config = uvicorn.Config(
        Starlette(routes=one.routes()), "127.0.0.1", one.port, log_level="warning", ws="websockets-sansio"
    )
    process = uvicorn.Server(config)
    thread = threading.Thread(target=process.run)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not process.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield one
    finally:
        process.should_exit = True
        thread.join()
        one.sockets.clear()
