"""The scheduler's process, wired from the settings: all work between a durable file and the wake-up of a worker."""

import os
import socket
import ssl
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event, Thread
from uuid import uuid4

from sqlalchemy.orm import Session, sessionmaker

from db.tls_profile import client_context
from db.tracking import JobIdentity, Retention
from dicom_node import site_file
from dicom_node.audit_messages import syslog
from dicom_node.commitment.mailbox import Mailbox
from dicom_node.errors import BadSetting
from dicom_node.own_tls import own_files
from dicom_node.retrieve.source import Source, open_source
from dicom_node.scheduler.anchoring import Anchoring
from dicom_node.scheduler.audit_feed import AuditRepository
from dicom_node.scheduler.closing import Terms
from dicom_node.scheduler.commitment_judge import CommitmentJudge
from dicom_node.scheduler.commitment_reporter import Callback, Reporter
from dicom_node.scheduler.commitment_reports import CommitmentReports
from dicom_node.scheduler.dispatch import Dispatcher
from dicom_node.scheduler.expectations import Expectations
from dicom_node.scheduler.keeping import Keeper
from dicom_node.scheduler.leader import Candidacy
from dicom_node.scheduler.result_files import ResultFiles
from dicom_node.scheduler.scheduler import Scheduler
from dicom_node.scp.tls import tls_context
from dicom_node.series.completeness import Policy
from dicom_node.settings import NodeSettings
from dicom_node.site_file import SiteFile
from dicom_node.spool.folder import Spool
from dicom_node.spool.notices import STARTED, STOPPED, Notices
from dicom_node.store.opening import open_store

NICENESS = 5


def run(
    settings: NodeSettings,
    sessions: sessionmaker[Session],
    broker_url: str,
    identity: JobIdentity,
    stop: Event,
    results_dir: Path | None = None,
) -> None:
    """Work until ``stop`` is set, while no other scheduler on this database leads. Raises BadSetting."""
    # The listener goes first: its senders wait for their answers, while images in the spool can wait a moment longer.
    os.nice(NICENESS)
    site = site_file.load(settings.site_file)
    spool = Spool(settings.spool_dir)
    spool.prepare()
    where, mailbox = callbacks(settings, site), Mailbox(spool)
    results = result_files(settings, results_dir) if results_dir else None
    terms = Terms(
        identity=identity,
        policy=policy(settings),
        renotify_s=settings.renotify_s,
        retention=retention(settings),
        expectations=Expectations(open_source_of(settings) if settings.source else None),
        commitments=CommitmentJudge(mailbox, sessions, where),
        reports=CommitmentReports(mailbox, sessions),
        routing=site.routing,
        study_wait_s=settings.study_wait_s,
        results=results,
        anchoring=Anchoring(settings.anchors.absolute(), settings.anchor_s),
        may_correct_patients=not site_file.is_open(settings, site),
    )
    scheduler = Scheduler(spool, sessions, Dispatcher(broker_url), terms)
    candidacy = Candidacy(sessions, f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}")
    reporter = Reporter(sessions, mailbox, where)
    beside = [
        Thread(target=candidacy.run, args=(stop,), name="leadership"),
        Thread(target=reporter.run, args=(stop, lambda: candidacy.leads), name="commitment answers"),
    ]
    notices = Notices(settings.notices, settings.syslog is not None)
    if settings.syslog is not None:
        told = AuditRepository(sessions, notices, partial(audit_repository, settings), settings.ae_title)
        beside.append(Thread(target=told.run, args=(stop, lambda: candidacy.leads), name="audit repository"))
    if settings.store_url is not None:
        keeper = Keeper(partial(open_store, settings), sessions, spool, retention(settings), results)
        beside.append(Thread(target=keeper.run, args=(stop, lambda: candidacy.leads), name="object store"))
    for thread in beside:
        thread.start()
    notices.write(STARTED, "scheduler")
    scheduler.run(stop, candidacy)
    notices.write(STOPPED, "scheduler")
    for thread in beside:
        thread.join()


def audit_repository(settings: NodeSettings) -> syslog.Repository:
    """Return the audit repository that the settings name. Raises OSError where a file for TLS cannot be used."""
    return syslog.repository(settings.syslog or "", settings.syslog_ca, settings.tls_cert, settings.tls_key)


def policy(settings: NodeSettings) -> Policy:
    """Return how long to wait for a series."""
    gap_wait_s = max(settings.quiet_s, settings.gap_wait_s)
    return Policy(settings.quiet_s, gap_wait_s, settings.stalled_s, min(settings.settle_s, settings.quiet_s))


def retention(settings: NodeSettings) -> Retention:
    """Return how long images stay in the spool."""
    return Retention(
        done=timedelta(days=settings.retention_days),
        skipped=timedelta(days=settings.retention_skipped_days),
        incomplete=timedelta(days=settings.retention_incomplete_days),
        unresolved=timedelta(days=settings.retention_unresolved_days),
        stored=settings.store_url is not None,
    )


def result_files(settings: NodeSettings, results_dir: Path) -> ResultFiles:
    """Return the folder of results, and how long they stay in it."""
    stay = timedelta(days=settings.retention_results_days)
    return ResultFiles(results_dir, stay, settings.store_url is not None)


def open_source_of(settings: NodeSettings) -> Source:
    """Return the source that the settings name. Raises BadSetting where it is no address."""
    token = settings.source_token.get_secret_value() if settings.source_token else None
    return open_source(settings.source or "", settings.ae_title, token, own_files(settings))


def calling_tls(settings: NodeSettings) -> ssl.SSLContext | None:
    """Return the TLS context for calling peers; None where no TLS files are set. Raises BadSetting."""
    files = own_files(settings)
    # The listener's context names a file that cannot be used; that of a caller would only raise.
    return client_context(files) if files is not None and tls_context(settings) else None


def callbacks(settings: NodeSettings, site: SiteFile) -> dict[str, Callback]:
    """Return where peers take answers. Raises BadSetting where one of them needs TLS and no certificate is set."""
    own_tls = calling_tls(settings)
    if own_tls is None and any(peer.tls for peer in site.peer):
        raise BadSetting("a peer of the site file listens by TLS, and DICOM_NODE_TLS_CERT is not set")
    return {
        peer.ae_title: Callback(peer.application_entity, own_tls if peer.tls else None)
        for peer in site.peer
        if peer.application_entity
    }
