"""Sends by C-STORE and asks by C-ECHO; every failure is reported as passing or final."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from db.address import ApplicationEntity
from worker.delivery.answers import KEPT_FOR_WHO_ASKED
from worker.errors import DeliveryFailed, PeerRefused, PeerUnreachable
from worker.reading.headers import MALFORMED

VERIFICATION = "1.2.840.10008.1.1"
MAX_PDU_BYTES = 131072
CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S, NETWORK_TIMEOUT_S = 10, 120, 60
MAX_CONTEXTS = 128
OUT_OF_RESOURCES = range(0xA700, 0xA800)
WARNINGS = frozenset({0x0001, 0x0107, 0x0116, *range(0xB000, 0xC000)})
REJECTED_FOR_NOW = 0x02
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Receipt:
    """What the peer answered for one object: success, or a warning with which it is kept all the same."""

    sop_uid: str
    status: int


@dataclass(frozen=True)
class _Item:
    path: Path
    sop_class: str
    sop_uid: str
    transfer_syntax: str


def echo(destination: ApplicationEntity, calling_ae: str) -> None:
    """Ask whether the peer is there and knows us.

    Raises
    ------
    PeerUnreachable
        No answer.
    PeerRefused
        The peer rejects the association.
    """
    with _association(destination, calling_ae, [(VERIFICATION, None)]) as association:
        status = association.send_c_echo()
        if status.get("Status") != 0x0000:
            raise PeerUnreachable(f"{destination} did not answer C-ECHO")


def store(
    paths: Sequence[Path], destination: ApplicationEntity, calling_ae: str, progress: Progress | None = None
) -> tuple[Receipt, ...]:
    """Send files as they are over one association.

    Parameters
    ----------
    paths
        DICOM files, of any mix of SOP classes and transfer syntaxes.
    progress
        Called with (files sent, files in all).

    Raises
    ------
    PeerUnreachable
        No answer, a dropped connection, or out of resources; sending everything again is safe.
    PeerRefused
        The peer said no for good, or a file cannot be sent.
    """
    items = [_item(path) for path in paths]
    wanted = list(dict.fromkeys((item.sop_class, item.transfer_syntax) for item in items))
    if len(wanted) > MAX_CONTEXTS:
        raise PeerRefused("the files need more presentation contexts than one association has", code="too_mixed")
    receipts = []
    with _association(destination, calling_ae, wanted) as association:
        for item in items:
            receipts.append(_store(association, item, destination))
            if progress is not None:
                progress(len(receipts), len(items))
    return tuple(receipts)


def _item(path: Path) -> _Item:
    try:
        meta = dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True).file_meta
        return _Item(
            path, str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID), str(meta.TransferSyntaxUID)
        )
    except (*MALFORMED, FileNotFoundError) as error:
        raise PeerRefused(f"{path.name} is no DICOM file that could be sent", code="unsendable_file") from error
    except OSError as error:
        raise PeerUnreachable(f"{path.name} cannot be read ({error.strerror})", code="file_unavailable") from error


@contextmanager
def _association(
    destination: ApplicationEntity, calling_ae: str, wanted: Sequence[tuple[str, str | None]]
) -> Iterator[Association]:
    association = _asked(destination, calling_ae, wanted)
    try:
        if not association.is_established:
            raise _not_established(association, destination)
        yield association
    finally:
        if association.is_established:
            association.release()


def _asked(destination: ApplicationEntity, calling_ae: str, wanted: Sequence[tuple[str, str | None]]) -> Association:
    """Return an association after the peer's answer, or without one."""
    if destination.secure and destination.tls is None:
        raise PeerRefused(f"{destination} is called by TLS alone", code="bad_destination")
    try:
        entity = AE(calling_ae)
        entity.connection_timeout, entity.acse_timeout = CONNECT_TIMEOUT_S, CONNECT_TIMEOUT_S
        entity.dimse_timeout, entity.network_timeout = ANSWER_TIMEOUT_S, NETWORK_TIMEOUT_S
        return entity.associate(
            destination.host,
            destination.port,
            contexts=[build_context(sop_class, syntax) for sop_class, syntax in wanted],
            ae_title=destination.ae_title,
            max_pdu=MAX_PDU_BYTES,
            evt_handlers=[(evt.EVT_CONN_OPEN, _send_at_once), KEPT_FOR_WHO_ASKED],
            tls_args=destination.tls_arguments(),
        )
    except OSError as error:
        # A host name that cannot be resolved raises at once; the name server may be back later, so it is tried again.
        raise PeerUnreachable(f"{destination} cannot be reached ({error.strerror})") from error
    except ValueError as error:
        raise PeerRefused(
            f"no association can be asked for from {calling_ae} with {destination}: {error}", code="bad_destination"
        ) from error


def _not_established(association: Association, destination: ApplicationEntity) -> DeliveryFailed:
    if association.is_rejected:
        answer = association.acceptor.primitive
        if answer is not None and answer.result != REJECTED_FOR_NOW:
            return PeerRefused(
                f"{destination} rejects associations from our AE title; enter it in the archive's list of known peers",
                code="association_rejected",
                detail={"source": answer.result_source, "reason": answer.diagnostic},
            )
        return PeerUnreachable(f"{destination} rejects associations for now")
    answered = association.acceptor.primitive is not None
    if answered and not association.accepted_contexts:
        return PeerRefused(
            f"{destination} accepts none of the object classes; enable Segmentation and Comprehensive 3D SR storage",
            code="no_presentation_context",
        )
    return PeerUnreachable(f"{destination} does not answer; is it running, and is the port right?")


def _store(association: Association, item: _Item, destination: ApplicationEntity) -> Receipt:
    if not any(
        context.abstract_syntax == item.sop_class and item.transfer_syntax in context.transfer_syntax
        for context in association.accepted_contexts
    ):
        raise PeerRefused(
            f"{destination} does not take {item.sop_class} in {item.transfer_syntax}; enable it in the archive",
            code="no_presentation_context",
            detail={"sop_class": item.sop_class, "transfer_syntax": item.transfer_syntax},
        )
    try:
        status = association.send_c_store(item.path).get("Status")
    except (OSError, RuntimeError, ValueError) as error:
        raise PeerUnreachable(f"the association with {destination} broke off") from error
    if status is None:
        raise PeerUnreachable(f"{destination} broke off while an object was being sent")
    if status == 0x0000 or status in WARNINGS:
        return Receipt(item.sop_uid, status)
    detail = {"status": status, "sop_uid": item.sop_uid}
    if status in OUT_OF_RESOURCES:
        raise PeerUnreachable(f"{destination} is out of resources (0x{status:04X})", detail=detail)
    raise PeerRefused(
        f"{destination} refused an object with status 0x{status:04X}", code="store_refused", detail=detail
    )


def _send_at_once(event: evt.Event) -> None:
    # With Nagle's algorithm an archive that acknowledges late costs 40 ms an object.
    connection = event.assoc.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
