"""What an archive's answer means for a delivery: taken, to be tried again, or refused for good."""

from worker.errors import DeliveryFailed, PeerRefused, PeerUnreachable

# Warnings count as taken (PS3.4 Table B.2-1), and so does an object that the archive has already (PS3.7 C.5.6): its UID
# follows from the job, so it is the one that an earlier try brought.
DUPLICATE = 0x0111
TAKEN = frozenset({0x0000, 0x0001, 0x0107, DUPLICATE, 0x0116, *range(0xB000, 0xC000)})
OUT_OF_RESOURCES = range(0xA700, 0xA800)
# Processing failure, duplicate invocation, resource limitation (PS3.7 C.5): of the moment, not of the object.
BUSY = frozenset({0x0110, 0x0210, 0x0213})
# PS3.8 9.3.4: result 2 is transient; all reasons of source 3, the presentation-related part, are of the moment.
REJECTED_FOR_NOW, PRESENTATION = 2, 3
# HTTP (RFC 9110, 6585): of the moment are these three, and what the server calls its own fault.
TIMEOUT, TOO_EARLY, TOO_MANY, CONFLICT, INSUFFICIENT_STORAGE = 408, 425, 429, 409, 507
UNAUTHORIZED, FORBIDDEN, NOT_IMPLEMENTED, VERSION_NOT_SUPPORTED = 401, 403, 501, 505


def of_store(status: int) -> DeliveryFailed | None:
    """Return the failure that a C-STORE status or a Failure Reason of STOW-RS stands for; None where it is taken."""
    if status in TAKEN:
        return None
    detail = {"status": status}
    if status in OUT_OF_RESOURCES:
        return PeerUnreachable(f"it is out of resources (0x{status:04X})", code="out_of_resources", detail=detail)
    if status in BUSY:
        return PeerUnreachable(f"it could not take the object now (0x{status:04X})", code="archive_busy", detail=detail)
    return PeerRefused(f"it refused the object with status 0x{status:04X}", code="store_refused", detail=detail)


def of_rejection(result: int, source: int, reason: int) -> DeliveryFailed:
    """Return the failure that an A-ASSOCIATE-RJ stands for."""
    detail = {"source": source, "reason": reason}
    if result == REJECTED_FOR_NOW or source == PRESENTATION:
        return PeerUnreachable("it rejects associations for now", code="rejected_for_now", detail=detail)
    return PeerRefused(
        "it rejects associations from our AE title; enter it in the archive's list of known peers",
        code="association_rejected",
        detail=detail,
    )


def of_http(status: int, retry_after: str | None = None) -> DeliveryFailed:
    """Return the failure that an HTTP status stands for which is no success."""
    detail: dict[str, object] = {"http_status": status}
    if status in {UNAUTHORIZED, FORBIDDEN}:
        return PeerRefused(f"it refuses our login (HTTP {status})", code="login_refused", detail=detail)
    if status == CONFLICT:
        return PeerRefused("it refused the object (HTTP 409)", code="store_refused", detail=detail)
    is_servers_fault = status >= 500 and status not in {NOT_IMPLEMENTED, VERSION_NOT_SUPPORTED}
    if not is_servers_fault and status not in {TIMEOUT, TOO_EARLY, TOO_MANY}:
        return PeerRefused(f"it does not take the request (HTTP {status})", code="web_refused", detail=detail)
    code = "out_of_resources" if status == INSUFFICIENT_STORAGE else "archive_busy"
    if retry_after is not None and retry_after.isdecimal():
        detail["retry_after_s"] = int(retry_after)
    return PeerUnreachable(f"it cannot take the object now (HTTP {status})", code=code, detail=detail)
