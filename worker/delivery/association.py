"""Associations that we open with an archive; where there is none, the reason is told by a code."""

import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from db.address import ApplicationEntity
from worker.delivery import verdicts
from worker.delivery.answers import KEPT_FOR_WHO_ASKED
from worker.errors import DeliveryFailed, PeerRefused, PeerUnreachable

MAX_PDU_BYTES = 131072
CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S, NETWORK_TIMEOUT_S = 10, 120, 60
PROBE_TIMEOUT_S = 5
Context = tuple[str, str | None]
Handler = tuple[Any, Callable[[evt.Event], Any]]


@dataclass(frozen=True)
class Caller:
    """Who opens the association, and with whom."""

    peer: ApplicationEntity
    calling_ae: str


@contextmanager
def opened(caller: Caller, wanted: Sequence[Context], handlers: Sequence[Handler] = ()) -> Iterator[Association]:
    """Open an association for the length of the block.

    Parameters
    ----------
    wanted
        (abstract syntax, transfer syntax) of each presentation context; None stands for the uncompressed ones.
    handlers
        For what the peer sends of itself.

    Raises
    ------
    PeerUnreachable
        There is none now; trying again later is safe.
    PeerRefused
        The peer said no for good, or our settings cannot be right.
    """
    connected: list[evt.Event] = []
    association = _asked(caller, wanted, [*handlers, (evt.EVT_CONN_OPEN, connected.append)])
    try:
        if not association.is_established:
            raise _not_established(association, caller.peer, bool(connected))
        yield association
    finally:
        if association.is_established:
            association.release()


def _asked(caller: Caller, wanted: Sequence[Context], handlers: Sequence[Handler]) -> Association:
    """Return an association after the peer's answer, or without one."""
    peer = caller.peer
    if peer.secure and peer.tls is None:
        raise PeerRefused(f"{peer} is called by TLS alone", code="bad_destination")
    tls = _tls(peer)
    try:
        entity = AE(caller.calling_ae)
        entity.connection_timeout, entity.acse_timeout = CONNECT_TIMEOUT_S, CONNECT_TIMEOUT_S
        entity.dimse_timeout, entity.network_timeout = ANSWER_TIMEOUT_S, NETWORK_TIMEOUT_S
        return entity.associate(
            peer.host,
            peer.port,
            contexts=[build_context(sop_class, syntax) for sop_class, syntax in wanted],
            ae_title=peer.ae_title,
            max_pdu=MAX_PDU_BYTES,
            evt_handlers=[(evt.EVT_CONN_OPEN, _send_in_time), KEPT_FOR_WHO_ASKED, *handlers],
            tls_args=tls,
        )
    except socket.gaierror as error:
        # The name server may be back later, so it is tried again.
        raise PeerUnreachable(f"{peer} has a name that is unknown ({error.strerror})", code="name_unknown") from error
    except (OSError, RuntimeError) as error:
        raise PeerUnreachable(f"{peer} cannot be reached ({error})") from error
    except ValueError as error:
        raise PeerRefused(
            f"no association can be asked for from {caller.calling_ae} with {peer}: {error}", code="bad_destination"
        ) from error


def _tls(peer: ApplicationEntity) -> tuple[ssl.SSLContext, str] | None:
    try:
        return peer.tls_arguments()
    except OSError as error:
        # While certificates are renewed, files may be away or not match for a moment.
        raise PeerUnreachable(
            f"our files for calling {peer} by TLS cannot be used ({error.strerror})", code="tls_files"
        ) from error


def _not_established(association: Association, peer: ApplicationEntity, connected: bool) -> DeliveryFailed:
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        rejected = verdicts.of_rejection(answer.result or 0, answer.result_source or 0, answer.diagnostic or 0)
        return said_of(peer, rejected)
    if answer is not None and not association.accepted_contexts:
        return PeerRefused(
            f"{peer} accepts none of the object classes; enable Segmentation and Comprehensive 3D SR storage",
            code="no_presentation_context",
        )
    if connected and peer.tls is None:
        return PeerUnreachable(f"{peer} took the connection and does not answer", code="no_answer")
    return _unreachable(peer)


def _unreachable(peer: ApplicationEntity) -> PeerUnreachable:
    """Return why there is no connection: pynetdicom tells only that there is none, so it is tried once more."""
    code, why = "no_answer", "it hangs up or is silent"
    try:
        with socket.create_connection((peer.host, peer.port), PROBE_TIMEOUT_S) as plain:
            if (tls := peer.tls_arguments()) is not None:
                context, host = tls
                with context.wrap_socket(plain, server_hostname=host) as secure:
                    secure.recv(1)
    except ssl.SSLError as error:
        code, why = "tls_failed", f"TLS fails: {error.reason}"
    except ConnectionRefusedError:
        code, why = "connection_refused", "nobody listens there"
    except TimeoutError:
        code, why = "connection_timeout", "nothing comes back"
    except OSError as error:
        code, why = PeerUnreachable.code, str(error.strerror)
    return PeerUnreachable(f"{peer} does not answer ({why}); is it running, and is the port right?", code=code)


def said_of(peer: object, failure: DeliveryFailed) -> DeliveryFailed:
    """Return a failure with the peer's name before what is said of it."""
    return type(failure)(f"{peer}: {failure}", code=failure.code, detail=failure.detail)


def _send_in_time(event: evt.Event) -> None:
    connection = event.assoc.dul.socket
    if connection is None or connection.socket is None:
        return
    # With Nagle's algorithm an archive that acknowledges late costs 40 ms an object.
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # pynetdicom waits without end for a peer that stops reading; by this its send fails, and the association ends.
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", NETWORK_TIMEOUT_S, 0))
