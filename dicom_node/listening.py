"""The listener: processes that receive on one port into the spool, without database, broker or model."""

import logging
from threading import Event

from dicom_node import site_file
from dicom_node.commitment.event_report import COMMITMENT_CLASS
from dicom_node.commitment.mailbox import Mailbox
from dicom_node.commitment.provider import CommitmentProvider
from dicom_node.commitment.reports import ReportTaker
from dicom_node.scp import prefork
from dicom_node.scp.access_control import AccessControl
from dicom_node.scp.handlers import Receiver
from dicom_node.scp.listener import Address, Listener, Security
from dicom_node.scp.tls import tls_context
from dicom_node.settings import NodeSettings
from dicom_node.spool.folder import Spool
from dicom_node.spool.image import CT_CLASSES
from dicom_node.spool.notices import STARTED, STOPPED, Notices

logger = logging.getLogger(__name__)


def run(settings: NodeSettings, stop: Event) -> None:
    """Receive until ``stop`` is set. Raises BadSetting where the site file or the TLS files cannot be used."""
    site = site_file.load(settings.site_file)
    access = AccessControl(settings.ae_title, site.peer, settings.any_called_ae)
    spool = Spool(settings.spool_dir, settings.min_free_mb, settings.low_free_mb)
    spool.prepare()
    callers_who_listen = {peer.ae_title for peer in site.peer if peer.application_entity}
    handlers = [
        *Receiver(spool, settings.max_associations, settings.max_associations_per_peer).handlers(),
        *CommitmentProvider(Mailbox(spool), callers_who_listen, access.may_ask_for_commitment).handlers(),
        *ReportTaker(Mailbox(spool)).handlers(),
    ]
    where = address(settings, site_file.host(settings, site))
    if site_file.is_open(settings, site):
        logger.warning("OPEN: anybody on the network may send, in the clear", extra={"host": where.host})
    notices = Notices(settings.notices, settings.syslog is not None)
    security = Security(access, tls_context(settings), notices)
    listener = Listener(where, handlers, [*CT_CLASSES, COMMITMENT_CLASS], security)

    def receive(stop: Event) -> None:
        with listener:
            stop.wait()

    notices.write(STARTED, "listener")
    prefork.run({f"receiver {number}": receive for number in range(1, settings.receivers + 1)}, stop)
    notices.write(STOPPED, "listener")


def address(settings: NodeSettings, host: str) -> Address:
    """Return the address and limits of the listener from the settings."""
    return Address(
        ae_title=settings.ae_title,
        host=host,
        port=settings.port,
        max_associations=settings.max_associations,
        max_pdu_bytes=settings.max_pdu_bytes,
        network_timeout_s=settings.network_timeout_s,
        request_timeout_s=settings.request_timeout_s,
        max_instance_bytes=settings.max_instance_mb * 1_000_000,
        min_bytes_per_s=settings.min_bytes_per_s,
    )
