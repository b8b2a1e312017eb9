"""The doctor's checks of who can reach a site, and what they could read or do there."""

from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import make_url

from compose.check import Check
from compose.settings import SiteSettings
from dicom_node import site_file
from dicom_node.errors import NodeError
from dicom_node.scp.tls import tls_context

GUARD_BROKER = "give Redis a password (requirepass) and write it into WORKER_BROKER_URL"
ENCRYPT_BROKER = "let it speak TLS: rediss://:PASSWORD@HOST:6379/0?ssl_cert_reqs=required"
OF_OTHERS = 0o077
LIST_PEERS = "list the senders as peers in the file that DICOM_NODE_SITE_FILE names"


def senders(site: SiteSettings) -> Check:
    """Say who may send images. A site that takes them from anybody on the network is not well."""
    try:
        known = site_file.load(site.node.site_file)
    except NodeError as error:
        return Check("senders", False, str(error), "mend the site file, or DICOM_NODE_SITE_FILE")
    host = site_file.host(site.node, known)
    rules = f"at {host}; {len(known.routing.rule)} routing rule(s)"
    if known.peer:
        return Check("senders", True, f"{len(known.peer)} known peer(s), {rules}")
    if site_file.is_loopback(host):
        return Check("senders", True, f"programs of this machine alone, {rules}", LIST_PEERS)
    if not site_file.is_open(site.node, known):
        return Check("senders", True, f"whoever has a certificate of our authority, {rules}")
    return Check("senders", False, f"OPEN: whoever calls our AE title, in the clear, {rules}", LIST_PEERS)


def tls(site: SiteSettings) -> Check:
    """Say whether TLS is spoken."""
    try:
        context = tls_context(site.node)
    except NodeError as error:
        return Check("TLS", False, str(error), "mend the files, or unset all three")
    if context is not None:
        return Check("TLS", True, "with client certificates")
    return Check("TLS", True, "none: DICOM is spoken in the clear", "set DICOM_NODE_TLS_CERT, _KEY and _CLIENT_CA")


def broker(url: str, shown: str) -> Check:
    """Say whether whoever reaches the broker could read its messages and write some of their own."""
    parts = urlsplit(url)
    if "+socket" in parts.scheme or site_file.is_loopback(parts.hostname or "localhost"):
        mend = "" if parts.password or "+socket" in parts.scheme else "every user of this machine may: set a password"
        return Check("broker", True, shown, mend)
    if not parts.password and "ssl_certfile" not in parts.query:
        return Check("broker", False, f"{shown} asks for no password", f"{GUARD_BROKER}, and {ENCRYPT_BROKER}")
    return Check("broker", True, shown, "" if parts.scheme == "rediss" else f"in the clear: {ENCRYPT_BROKER}")


def permissions(site: SiteSettings) -> Check:
    """Say which of the folders and files with patients or secrets others on this machine can read."""
    database = make_url(site.db_url)
    private = [site.node.spool_dir, site.worker.results_dir, site.node.tls_key]
    if database.get_backend_name() == "sqlite" and database.database:
        private.append(Path(database.database))
    loose = [str(path) for path in private if path is not None and path.exists() and path.stat().st_mode & OF_OTHERS]
    if loose:
        found = f"others on this machine can read {', '.join(loose)}"
        return Check("permissions", False, found, f"chmod -R go-rwx {' '.join(loose)}")
    return Check("permissions", True, "images, results and rows are their owner's alone")
