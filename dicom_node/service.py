"""The node: processes that receive on one port, and one that registers and hands over, all on one spool."""

import os
from threading import Event

from sqlalchemy.orm import Session, sessionmaker

from db.tracking import JobIdentity
from dicom_node import prefork
from dicom_node.completeness import Policy
from dicom_node.dispatch import Dispatcher
from dicom_node.handlers import Receiver
from dicom_node.listener import CT_CLASSES, Address, Listener
from dicom_node.registrar import Registrar
from dicom_node.settings import NodeSettings
from dicom_node.spool import Spool
from dicom_node.watcher import Terms, Watcher

WATCHER_NICENESS = 5


def run(
    settings: NodeSettings, sessions: sessionmaker[Session], broker_url: str, identity: JobIdentity, stop: Event
) -> None:
    """Receive and hand over until ``stop`` is set."""
    spool = Spool(settings.spool_dir, settings.min_free_mb, settings.low_free_mb)
    spool.prepare()
    receiver = Receiver(spool, settings.max_associations)
    listener = Listener(address(settings), receiver.handlers(), CT_CLASSES)
    policy = Policy(settings.quiet_s, max(settings.quiet_s, settings.gap_wait_s), settings.stalled_s)

    def receive(stop: Event) -> None:
        with listener:
            stop.wait()

    def watch(stop: Event) -> None:
        # Senders wait for their answers; what is in the spool can wait a moment longer.
        os.nice(WATCHER_NICENESS)
        # A connection that was opened before the fork is another process's.
        sessions.kw["bind"].dispose(close=False)
        terms = Terms(identity, policy, settings.renotify_s, settings.retention_days)
        registrar = Registrar(spool, sessions)
        Watcher(registrar, sessions, receiver.open_series, Dispatcher(broker_url), terms).run(stop)

    receivers = {f"receiver {number}": receive for number in range(1, settings.receivers + 1)}
    prefork.run({"watcher": watch, **receivers}, stop)


def address(settings: NodeSettings) -> Address:
    """Return where the settings say to listen."""
    return Address(
        ae_title=settings.ae_title,
        host=settings.host,
        port=settings.port,
        max_associations=settings.max_associations,
        max_pdu_bytes=settings.max_pdu_bytes,
        network_timeout_s=settings.network_timeout_s,
        request_timeout_s=settings.request_timeout_s,
    )
