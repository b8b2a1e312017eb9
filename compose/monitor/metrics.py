"""Reads the numbers of a site from rows and spool, anew at each question, so that they are those of all processes."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from compose.folders import existing
from compose.monitor import families as f
from compose.monitor.watch import Watch
from compose.settings import SiteSettings
from db.counts import SiteCounts, site_counts
from dicom_node.spool import backlog
from worker.identity import SOFTWARE_VERSION


class SiteMetrics(Collector):
    """The numbers of one site; with the database away only those that the spool and the watch have."""

    def __init__(self, site: SiteSettings, watch: Watch) -> None:
        self._watch = watch
        self._folders = {"spool": site.node.spool_dir, "results": site.worker.results_dir}

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def describe(self) -> list[Metric]:
        """Return nothing: what is registered is read only when it is asked for."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        now = datetime.now(UTC)
        yield f.BUILD.metric({(SOFTWARE_VERSION,): 1})
        yield f.PART_READY.metric({(check.name,): float(check.ok) for check in self._watch.checks})
        yield from self._of_spool(now)
        yield from self._of_disks()
        try:
            with self._watch.sessions.begin() as session:
                counts = site_counts(session, now)
        except SQLAlchemyError:
            # The part "database" is not ready, which says so.
            return
        yield from _of_rows(counts)

    def _of_spool(self, now: datetime) -> Iterator[Metric]:
        spool = self._watch.spool
        waiting = backlog.waiting(spool, now)
        yield f.WAITING_IMAGES.metric({(): waiting.images})
        yield f.WAITING_IMAGES_S.metric({(): waiting.oldest_s})
        yield f.REFUSED.metric({(code,): count for code, count in spool.refusals.counted().items()})
        yield f.SET_ASIDE.metric({(code,): count for code, count in backlog.set_aside(spool).items()})

    def _of_disks(self) -> Iterator[Metric]:
        usage = {name: shutil.disk_usage(existing(folder)) for name, folder in self._folders.items()}
        yield f.DISK_FREE.metric({(name,): one.free for name, one in usage.items()})
        yield f.DISK_SIZE.metric({(name,): one.total for name, one in usage.items()})


def _of_rows(counts: SiteCounts) -> Iterator[Metric]:
    yield f.IMAGES.metric({(): counts.images})
    yield f.IMAGE_BYTES.metric({(): counts.image_bytes})
    yield f.SERIES.metric({(state,): count for state, count in counts.series.items()})
    yield f.OLDEST_OPEN_S.metric({(): counts.oldest_open_s})
    yield f.JOBS.metric({(state,): count for state, count in counts.jobs.items()})
    yield f.STOPPED.metric(counts.stopped)
    yield f.QUEUE.metric({(queue,): one.count for queue, one in counts.waiting.items()})
    yield f.QUEUE_S.metric({(queue,): one.oldest_s for queue, one in counts.waiting.items()})
    yield f.DELIVERIES.metric(counts.deliveries)
    yield f.stage_metric((name, one.runs, one.seconds) for name, one in counts.stages.items())
