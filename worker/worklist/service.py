"""Speaks UPS-RS as a performer (PS3.18 11); whatever goes wrong is told as passing or final, as it is of deliveries."""

import json
from urllib.parse import urlencode

from pydicom import Dataset

from worker.delivery import verdicts
from worker.delivery.association import said_of
from worker.delivery.web_session import Answer, WebSession
from worker.errors import DeliveryFailed, PeerRefused, PeerUnreachable
from worker.worklist import item
from worker.worklist_section import Worklist

JSON = "application/dicom+json"
IN_PROGRESS, COMPLETED, CANCELED = "IN PROGRESS", "COMPLETED", "CANCELED"
NO_CONTENT = 204
UNKNOWN, GONE, CONFLICT, REFUSED = "workitem_unknown", "workitem_gone", "workitem_conflict", "workitem_refused"
# What the worklist says of the item, and no login or address of ours changes.
OF_THE_ITEM = {
    400: (REFUSED, "it refuses what we say of the item"),
    404: (UNKNOWN, "it knows no such item"),
    409: (CONFLICT, "the item is in another state, or another performer's"),
    410: (GONE, "it has deleted the item"),
}
CODES_OF_THE_ITEM = frozenset(code for code, _ in OF_THE_ITEM.values())
# Enough to find our share behind items that others take at this moment.
MOST_FOUND = 100


class UpsService:
    """One worklist. Every method raises PeerUnreachable for what may pass and PeerRefused for what is final."""

    def __init__(self, worklist: Worklist) -> None:
        self._worklist = worklist
        self._session = WebSession(worklist)

    @property
    def url(self) -> str:
        """Its base URL."""
        return self._session.url

    def search(self, most: int = MOST_FOUND) -> list[Dataset]:
        """Return items that may be claimed (11.9), those that matter most first."""
        query = urlencode(self._worklist.query() | {"includefield": "all", "limit": most})
        return sorted(self._read(self._ask("GET", f"/workitems?{query}")), key=item.rank)

    def retrieve(self, uid: str) -> Dataset:
        """Return an item (11.5)."""
        found = self._read(self._ask("GET", f"/workitems/{uid}"))
        if not found:
            raise PeerRefused(f"{self.url}: it knows no such item", code=UNKNOWN)
        return found[0]

    def change(self, uid: str, transaction_uid: str, state: str) -> None:
        """Ask for another state of an item (11.7): to claim it, or to end it."""
        asked = Dataset()
        asked.ProcedureStepState, asked.TransactionUID = state, transaction_uid
        self._ask("PUT", f"/workitems/{uid}/state", asked)

    def update(self, uid: str, transaction_uid: str, changes: Dataset) -> None:
        """Change attributes of an item that is ours (11.6)."""
        # The Standard has the Transaction UID in the URL; some servers read it from the data set, as N-SET has it.
        changes.TransactionUID = transaction_uid
        query = urlencode({"transaction-uid": transaction_uid})
        self._ask("POST", f"/workitems/{uid}?{query}", changes)

    def subscribe(self, uid: str, ae_title: str) -> Answer:
        """Ask to be told what happens to an item (11.10)."""
        return self._ask("POST", f"/workitems/{uid}/subscribers/{ae_title}?deletionlock=false")

    def _ask(self, method: str, path: str, body: Dataset | None = None) -> Answer:
        content = None if body is None else json.dumps(body.to_json_dict()).encode()
        kind = {} if body is None else {"Content-Type": JSON}
        answer = self._session.request(method, path, {"Accept": JSON} | kind, content)
        if answer.status >= 300:
            raise said_of(self.url, verdict(answer))
        return answer

    def _read(self, answer: Answer) -> list[Dataset]:
        if answer.status == NO_CONTENT:
            return []
        try:
            return item.datasets(answer.body)
        except ValueError as error:
            raise PeerUnreachable(f"{self.url} did not answer readably", code="broke_off") from error


def verdict(answer: Answer) -> DeliveryFailed:
    """Return the failure that an answer stands for which is no success."""
    if answer.status in OF_THE_ITEM:
        code, why = OF_THE_ITEM[answer.status]
        said = answer.headers.get("warning", "")
        detail = {"http_status": answer.status} | ({"warning": said[:200]} if said else {})
        return PeerRefused(f"{why} (HTTP {answer.status})", code=code, detail=detail)
    return verdicts.of_http(answer.status, answer.headers.get("retry-after"))
