"""The Celery application: two queues, late acknowledgement, one job at a time, one lane for each destination.

The row of a job is the truth and a message only a wake-up: after a lost one the scheduler sends another, and a doubled
one finds the job claimed.
"""

import logging
import os
import socket
import threading
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from celery import Celery, signals
from kombu import Queue
from sqlalchemy.orm import Session, sessionmaker

from db.engine import open_database
from worker import destinations, pulse
from worker.delivery_task import DeliveryTask
from worker.lanes import Lanes
from worker.proof_task import ProofTask
from worker.settings import WorkerSettings

if TYPE_CHECKING:
    from worker.analysis_task import AnalysisTask

logger = logging.getLogger(__name__)
ANALYSE, DELIVER = "analyse", "deliver"
# The broker gives a message out again only when its task must have ended; earlier, the job would be tried twice.
VISIBILITY_MARGIN_S = 600
# More threads than lanes: a job whose destination is at work only joins its lane. Destinations that are no longer in
# the settings still have lanes while rows name them.
SPARE_LANES = 4


class Site:
    """What the tasks of a process need, each made on first use: in the child that computes, never before the fork."""

    def __init__(self, settings: WorkerSettings, db_url: str) -> None:
        self.settings = settings
        self._db_url = db_url
        self._preparation: threading.Thread | None = None
        self._lanes = Lanes()

    @cached_property
    def sessions(self) -> sessionmaker[Session]:
        """The maker of sessions on the site's database."""
        return open_database(self._db_url)

    @cached_property
    def analysis_task(self) -> "AnalysisTask":
        """The analysis task with its model."""
        # torch takes seconds to import and may first run in the child; the deliver queue never needs it.
        from worker.analysis_task import AnalysisTask  # noqa: PLC0415

        return AnalysisTask(self.settings, self.sessions, process_name())

    def prepare(self) -> None:
        """Begin to load the model, beside Celery: a child that is silent for four seconds is given up."""
        self._preparation = threading.Thread(target=self._load, daemon=True)
        self._preparation.start()

    def analyse(self, job_id: int) -> None:
        """Run a job, once the model is loaded."""
        if self._preparation is not None:
            self._preparation.join()
        self.analysis_task.run(job_id)

    def _load(self) -> None:
        try:
            model = self.analysis_task.model
        except Exception:
            # Each job tries again, and ends with the reason.
            logger.exception("the model cannot be loaded")
        else:
            logger.info("model loaded", extra={"model_digest": model.digest})

    @cached_property
    def delivery_task(self) -> DeliveryTask:
        """The delivery task to the site's destinations."""
        return DeliveryTask(self.settings, self.sessions, process_name())

    @cached_property
    def proof_task(self) -> ProofTask:
        """The task that seeks proof of what was delivered."""
        return ProofTask(self.settings, self.sessions, process_name())

    def deliver(self, job_id: int, destination: str) -> None:
        """Send what a job owes to a destination, and seek proof of what was sent; in the destination's lane."""
        self._lanes.run(destination, job_id, lambda one: self._deliver(one, destination))

    def _deliver(self, job_id: int, destination: str) -> None:
        self.delivery_task.run(job_id, destination)
        self.proof_task.run(job_id, destination)

    def beating(self, queue: str) -> AbstractContextManager[None]:
        """Give signs of life of a worker of ``queue`` as long as the block lasts."""
        return pulse.beating(self.sessions, queue, process_name())


@signals.setup_logging.connect
def leave_logging_alone(**_: Any) -> None:
    """Do nothing, which keeps Celery from handlers of its own: they would write past the formatter that escapes."""


def process_name(part: str = "worker") -> str:
    """Name this process for events: what it is, host and process id."""
    return f"{part}@{socket.gethostname()}:{os.getpid()}"


def build(site: Site) -> Celery:
    """Return the Celery application with its tasks.

    They are ``scleroscan.analyse``, ``scleroscan.deliver``, and ``scleroscan.beat``, which only shows that a message
    came through.
    """
    app = Celery("scleroscan", broker=site.settings.broker_url, set_as_current=False)
    visibility = {"visibility_timeout": site.settings.time_limit_s + VISIBILITY_MARGIN_S}
    app.conf.update(
        accept_content=["json"],
        broker_connection_retry_on_startup=True,
        broker_transport_options=visibility,
        result_backend_transport_options=visibility,
        task_acks_late=True,
        task_create_missing_queues=False,
        task_default_queue=ANALYSE,
        task_ignore_result=True,
        task_queues=[Queue(ANALYSE), Queue(DELIVER)],
        task_reject_on_worker_lost=True,
        task_serializer="json",
        task_time_limit=site.settings.time_limit_s,
        visibility_timeout=visibility["visibility_timeout"],
        # Whoever reaches the broker could otherwise read the configuration and shut workers down.
        worker_enable_remote_control=False,
        worker_prefetch_multiplier=1,
    )

    @app.task(name="scleroscan.analyse")
    def analyse(job_id: int) -> None:
        with site.beating(ANALYSE):
            site.analyse(job_id)

    @app.task(name="scleroscan.deliver")
    def deliver(job_id: int, destination: str) -> None:
        with site.beating(DELIVER):
            site.deliver(job_id, destination)

    @app.task(name="scleroscan.beat")
    def beat(queue: str) -> None:
        with site.beating(queue):
            pass

    return app


def run(site: Site, queue: str) -> None:
    """Consume one queue until a signal: jobs one at a time, deliveries one at a time for each destination."""
    if queue == ANALYSE:
        signals.worker_process_init.connect(lambda **_: site.prepare(), weak=False)
    # A thread that hangs cannot be ended, a process can; delivering ends by its own time limits.
    threads = ["--pool=threads", f"--concurrency={len(destinations.of(site.settings)) + SPARE_LANES}"]
    processes = ["--pool=prefork", "--concurrency=1"]
    build(site).worker_main(
        [
            # Without Celery's banner, which is no log line.
            "--quiet",
            "worker",
            f"--queues={queue}",
            *(threads if queue == DELIVER else processes),
            f"--hostname={queue}-{os.getpid()}@%h",
            "--without-mingle",
            "--without-gossip",
            "--loglevel=INFO",
        ]
    )
