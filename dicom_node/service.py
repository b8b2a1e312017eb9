"""The node: processes that receive on one port, and one that registers and hands over, all on one spool."""

import os
from threading import Event, Thread

from sqlalchemy.orm import Session, sessionmaker

from db.tracking import JobIdentity
from dicom_node import site_file
from dicom_node.commitment.provider import CommitmentJudge, CommitmentProvider, CommitmentQueue
from dicom_node.commitment.report import COMMITMENT_CLASS, Callback, Reporter
from dicom_node.errors import BadSetting
from dicom_node.retrieve.source import Source, open_source
from dicom_node.scheduler.closing import Terms
from dicom_node.scheduler.dispatch import Dispatcher
from dicom_node.scheduler.expectations import Expectations
from dicom_node.scheduler.registrar import Registrar
from dicom_node.scheduler.scheduler import Watcher
from dicom_node.scp import prefork
from dicom_node.scp.access_control import AccessControl
from dicom_node.scp.handlers import Receiver
from dicom_node.scp.listener import Address, Listener, Security
from dicom_node.scp.tls import DeferredHandshake, server_context
from dicom_node.series.completeness import Policy
from dicom_node.settings import NodeSettings
from dicom_node.site_file import SiteFile
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import CT_CLASSES
from dicom_node.tls_profile import client_context

WATCHER_NICENESS = 5


def run(
    settings: NodeSettings, sessions: sessionmaker[Session], broker_url: str, identity: JobIdentity, stop: Event
) -> None:
    """Receive and hand over until ``stop`` is set."""
    site = site_file.load(settings.site_file)
    security = Security(AccessControl(settings.ae_title, site.peer, settings.any_called_ae), tls_context(settings))
    where = callbacks(settings, site)
    spool = Spool(settings.spool_dir, settings.min_free_mb, settings.low_free_mb)
    spool.prepare()
    receiver, requests = Receiver(spool, settings.max_associations), CommitmentQueue(spool)
    handlers = [*receiver.handlers(), *CommitmentProvider(requests, sessions, set(where)).handlers()]
    listener = Listener(address(settings), handlers, [*CT_CLASSES, COMMITMENT_CLASS], security)
    terms = Terms(
        identity=identity,
        policy=policy(settings),
        renotify_s=settings.renotify_s,
        retention_days=settings.retention_days,
        expectations=expectations(settings),
        commitments=CommitmentJudge(requests, sessions),
        routing=site.routing,
        study_wait_s=settings.study_wait_s,
    )

    def receive(stop: Event) -> None:
        _drop_connections(sessions)
        with listener:
            stop.wait()

    def watch(stop: Event) -> None:
        # Senders wait for their answers; what is in the spool can wait a moment longer.
        os.nice(WATCHER_NICENESS)
        _drop_connections(sessions)
        watcher = Watcher(Registrar(spool, sessions), sessions, receiver.open_series, Dispatcher(broker_url), terms)
        reporter = Thread(target=Reporter(sessions, where).run, args=(stop,), name="commitment answers")
        reporter.start()
        watcher.run(stop)
        reporter.join()

    receivers = {f"receiver {number}": receive for number in range(1, settings.receivers + 1)}
    prefork.run({"watcher": watch, **receivers}, stop)


def _drop_connections(sessions: sessionmaker[Session]) -> None:
    """Forget connections to the database that were opened before the fork: they are another process's."""
    sessions.kw["bind"].dispose(close=False)


def policy(settings: NodeSettings) -> Policy:
    """Return how long to wait for a series."""
    gap_wait_s = max(settings.quiet_s, settings.gap_wait_s)
    return Policy(settings.quiet_s, gap_wait_s, settings.stalled_s, min(settings.settle_s, settings.quiet_s))


def expectations(settings: NodeSettings) -> Expectations:
    """Return what the source, where the settings name one, says of series."""
    return Expectations(open_source_of(settings) if settings.source else None)


def open_source_of(settings: NodeSettings) -> Source:
    """Return the source that the settings name. Raises BadSetting where it is no address."""
    token = settings.source_token.get_secret_value() if settings.source_token else None
    return open_source(settings.source or "", settings.ae_title, token)


def callbacks(settings: NodeSettings, site: SiteFile) -> dict[str, Callback]:
    """Return where the known peers take answers. Raises BadSetting where one wants TLS and we have no certificate."""
    own_tls = None
    if tls_context(settings) and settings.tls_cert and settings.tls_key and settings.tls_client_ca:
        own_tls = client_context(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    if own_tls is None and any(peer.tls for peer in site.peer):
        raise BadSetting("a peer of the site file listens by TLS, and DICOM_NODE_TLS_CERT is not set")
    return {
        p.ae_title: Callback(p.application_entity, own_tls if p.tls else None)
        for p in site.peer
        if p.application_entity
    }


def tls_context(settings: NodeSettings) -> DeferredHandshake | None:
    """Return the listener's TLS; None where no certificate is set. Raises BadSetting where only a part is set."""
    files = (settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    if not any(files):
        return None
    if settings.tls_cert is None or settings.tls_key is None or settings.tls_client_ca is None:
        raise BadSetting("TLS needs all three: DICOM_NODE_TLS_CERT, DICOM_NODE_TLS_KEY and DICOM_NODE_TLS_CLIENT_CA")
    return server_context(settings.tls_cert, settings.tls_key, settings.tls_client_ca)


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
