"""Is the site well? Each check says what it found and how to mend it."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime

import redis
from kombu import Connection
from kombu.exceptions import OperationalError as BrokerDown
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from compose import anchored, certificates, exposure, liveness, store_check, worklist_check
from compose.check import Check
from compose.folders import existing
from compose.settings import SiteSettings
from db import audit, delivery_list, schema
from db.errors import BadAddress, SchemaOutdated
from dicom_node import scheduling
from dicom_node.errors import NodeError
from dicom_node.spool import backlog
from dicom_node.spool.folder import Spool
from worker import destinations, identity
from worker.delivery import archive
from worker.destinations import Destination
from worker.errors import PipelineError
from worker.settings import EMBEDDED

LEAST_FREE_GB = 10
LEAST_DAYS_LEFT = 14
# Of the arc for UUIDs, and of no study: the source only has to answer.
NOBODY = "2.25.0"
# A node under load registers within seconds.
LONGEST_WAIT_S = 60.0


def examine(site: SiteSettings) -> list[Check]:
    """Run every check, none of which leaves anything behind."""
    checks: list[Callable[[SiteSettings], Check]] = [
        _settings,
        _contradictions,
        liveness.parts,
        _database,
        _broker,
        _disk,
        _growth,
        _waiting,
        _set_aside,
        _dead_letters,
        anchored.anchors,
        _weights,
        exposure.senders,
        exposure.tls,
        exposure.permissions,
        _source,
    ]
    beside = _destinations(site) + worklist_check.worklist(site) + store_check.store(site)
    return [check(site) for check in checks] + beside


def _settings(site: SiteSettings) -> Check:
    urls = _urls(site)
    found = f"{site.node.ae_title} on port {site.node.port}, {len(urls)} destination(s)"
    if urls:
        return Check("settings", True, found)
    where = f"{found}: results stay in {site.worker.results_dir}"
    return Check("settings", True, where, "to deliver them set WORKER_DESTINATIONS=dicom://PACS@10.0.0.5:104")


def _contradictions(site: SiteSettings) -> Check:
    """Each value may be right, and two of them not together."""
    node, worker = site.node, site.worker
    ours = {f"dicom://{node.ae_title}@{host}:{node.port}" for host in ("127.0.0.1", "localhost", node.host)}
    found = [f"{url} is our own listener" for url in _urls(site) if url in ours]
    if node.low_free_mb < node.min_free_mb:
        found.append("DICOM_NODE_LOW_FREE_MB lies below DICOM_NODE_MIN_FREE_MB: images are refused before associations")
    if worker.delivery_retry_max_s < worker.delivery_retry_s:
        found.append("WORKER_DELIVERY_RETRY_MAX_S lies below WORKER_DELIVERY_RETRY_S")
    return Check("sense", not found, "; ".join(found) or "no two settings contradict", "change one" if found else "")


def _database(site: SiteSettings) -> Check:
    shown = make_url(site.db_url).render_as_string(hide_password=True)
    try:
        schema.open_current(site.db_url).kw["bind"].dispose()
    except OperationalError as error:
        return Check("database", False, f"{shown} does not answer: {error.orig}", "start it, or mend DB_URL")
    except SchemaOutdated as error:
        return Check("database", False, f"{shown}: {error}", "scleroscan db upgrade")
    return Check("database", True, f"{shown}, revision {schema.newest_revision()}")


def _broker(site: SiteSettings) -> Check:
    url = site.worker.broker_url
    if url == EMBEDDED:
        return Check("broker", True, "embedded: runs inside `scleroscan up`")
    with Connection(url, connect_timeout=3) as connection:
        try:
            connection.ensure_connection(max_retries=1, timeout=5)
        except (BrokerDown, OSError, redis.RedisError) as error:
            return Check("broker", False, f"no answer: {error}", "start it, or mend WORKER_BROKER_URL")
        return exposure.broker(url, connection.as_uri())


def _disk(site: SiteSettings) -> Check:
    folder = existing(site.node.spool_dir)
    free_gb = shutil.disk_usage(folder).free / 1e9
    found = f"{free_gb:.0f} GB free at {site.node.spool_dir}"
    return Check(
        "disk", free_gb >= LEAST_FREE_GB, found, "" if free_gb >= LEAST_FREE_GB else "free space for the spool"
    )


def _growth(site: SiteSettings) -> Check:
    """Say when the disk is full if all goes on as in the last week."""
    try:
        with schema.open_current(site.db_url).begin() as session:
            rate = audit.spool_rate(session, datetime.now(UTC))
    except (OperationalError, SchemaOutdated):
        return Check("growth", True, "unknown: the database does not say")
    if rate is None:
        return Check("growth", True, "unknown until a day of receiving has passed")
    found = f"{rate.came / 1e9:.2f} GB a day come in, {rate.left / 1e9:.2f} GB leave"
    free = shutil.disk_usage(existing(site.node.spool_dir)).free - site.node.low_free_mb * 1e6
    if rate.came <= rate.left:
        return Check("growth", True, f"{found}: the spool does not grow")
    days = max(free, 0) / (rate.came - rate.left)
    found = f"{found}: associations are rejected in {days:.0f} days"
    mend = "shorten DICOM_NODE_RETENTION_DAYS and its like, see what `scleroscan status` keeps, or give it more disk"
    return Check("growth", days >= LEAST_DAYS_LEFT, found, "" if days >= LEAST_DAYS_LEFT else mend)


def _waiting(site: SiteSettings) -> Check:
    waiting = backlog.waiting(Spool(site.node.spool_dir), datetime.now(UTC))
    if not waiting.images:
        return Check("waiting", True, "no image waits to be registered")
    found = f"{waiting.images} image(s) to be registered, the oldest for {waiting.oldest_s:.0f} s"
    ok = waiting.oldest_s <= LONGEST_WAIT_S
    return Check("waiting", ok, found, "" if ok else "see that a scheduler runs and the database answers; read its log")


def _set_aside(site: SiteSettings) -> Check:
    spool = Spool(site.node.spool_dir)
    by_code = backlog.set_aside(spool)
    if not by_code:
        return Check("set aside", True, "every image received could be registered")
    codes = ", ".join(f"{code} {count}" for code, count in by_code.items())
    found = f"{sum(by_code.values())} received image(s) in {spool.refused}: {codes}"
    return Check("set aside", False, found, "look at them, then move or delete them")


def _dead_letters(site: SiteSettings) -> Check:
    try:
        with schema.open_current(site.db_url).begin() as session:
            count = delivery_list.dead_letters(session)
    except (OperationalError, SchemaOutdated):
        return Check("dead letters", True, "unknown: the database does not say")
    if not count:
        return Check("dead letters", True, "no object rests unsent")
    mend = "scleroscan status --dead-letters names them and why; mend that, then scleroscan retry JOB"
    return Check("dead letters", False, f"{count} object(s) rest unsent", mend)


def _weights(site: SiteSettings) -> Check:
    try:
        digest = identity.current(site.worker).model_digest
    except PipelineError as error:
        return Check("weights", False, str(error), "put the weights back with their model card, or mend WORKER_WEIGHTS")
    return Check("weights", True, f"{site.worker.weights.name}, SHA-256 {digest[:12]}…, as its card says")


def _source(site: SiteSettings) -> Check:
    url = site.node.source
    if url is None:
        return Check("source", True, "none: series are whole by geometry and quiet")
    try:
        scheduling.open_source_of(site.node).number_of_instances(NOBODY, NOBODY)
    except NodeError as error:
        return Check("source", False, f"{url}: {error}", "start the archive, or mend DICOM_NODE_SOURCE")
    return Check("source", True, f"{url} answers")


def _urls(site: SiteSettings) -> list[str]:
    try:
        return [one.url for one in destinations.of(site.worker)]
    except BadAddress:
        return []


def _destinations(site: SiteSettings) -> list[Check]:
    try:
        return certificates.shown(site.worker) + [_destination(site, one) for one in destinations.of(site.worker)]
    except BadAddress as error:
        return [Check("destinations", False, str(error), "mend the site file")]


def _destination(site: SiteSettings, one: Destination) -> Check:
    name = f"{_question(one)} {one.url}"
    try:
        archive.of(one, site.worker).ask()
    except PipelineError as error:
        return Check(name, False, str(error), _mend(error, one, site.worker.ae_title))
    return Check(name, True, "answers")


def _question(one: Destination) -> str:
    kinds = ((one.is_web, "QIDO-RS"), (one.is_fhir, "metadata"), (one.is_hl7, "MLLP"))
    return next((question for is_one, question in kinds if is_one), "C-ECHO")


def _mend(error: PipelineError, one: Destination, ae_title: str) -> str:
    if error.code == "bad_destination":
        return "set WORKER_TLS_CERT, WORKER_TLS_KEY and WORKER_TLS_CA, or its own tls_ lines in the site file"
    if not one.is_dicom:
        return "start the archive, or mend its URL and login in the site file"
    return f"start the archive, and let it know our AE title {ae_title}"
