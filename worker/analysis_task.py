"""The Celery task that claims a job, runs the pipeline on it, and writes what comes out to the rows."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.errors import ClaimLost, ProfileNotMade
from db.states import JobState
from db.tracking import (
    Claim,
    Failure,
    FlagRow,
    JobIdentity,
    JobResults,
    LeaseTerms,
    MeasurementRow,
    ModelIdentity,
)
from worker import destinations, identity, past, pipeline
from worker.analysis.patterns import model as pattern_model
from worker.errors import InputRejected, PipelineError
from worker.reading.unchanged import ReceivedFile
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)
RENEWALS_PER_LEASE = 4


class AnalysisTask:
    """Runs jobs one after another; the model is loaded once."""

    def __init__(self, settings: WorkerSettings, sessions: sessionmaker[Session], who: str) -> None:
        self._settings = settings
        self._sessions = sessions
        self._who = who
        self._terms = LeaseTerms(settings.lease_s, settings.max_attempts)

    @cached_property
    def model(self) -> pattern_model.PatternModel:
        """The model, loaded when it is first asked for, and known to the database then."""
        own = self._settings
        loaded = pattern_model.load(own.weights, own.device, own.engine, own.cache_dir)
        row = ModelIdentity(loaded.digest, loaded.name, loaded.version, loaded.card)
        with self._sessions.begin() as session:
            tracking.register_model(session, row, datetime.now(UTC))
        return loaded

    def run(self, job_id: int) -> None:
        """Claim the job and run it to its end; do nothing where it cannot be claimed."""
        with self._sessions.begin() as session:
            held = tracking.claim(session, job_id, self._who, self._terms, datetime.now(UTC))
        if held is None:
            logger.info("job cannot be claimed", extra={"job_id": job_id})
            return
        while held is not None:
            held = self._attempt(held)

    def _attempt(self, held: Claim) -> Claim | None:
        """Run a claimed job to its end; or exchange the claim for one on the job of our own identity, and return it."""
        try:
            with self._kept(held):
                return self._assess(held)
        except ClaimLost:
            facts = {"job_id": held.job_id, "attempt": held.attempt}
            logger.warning("job taken over by another worker", extra=facts)
            return None

    def _assess(self, held: Claim) -> Claim | None:
        try:
            if self._resumed(held):
                return None
            if (ours := identity.of(self.model.digest, self.model.engine.name)) != held.identity:
                return self._corrected(held, ours)
            result = pipeline.run(self.task(held), self.model, self._stage_noter(held))
            self._record(held, result)
        except PipelineError as error:
            self._end(held, error)
        except ProfileNotMade as error:
            self._finish(held, JobState.FAILED, Failure("profile_not_made", str(error)))
        except ClaimLost:
            raise
        except Exception as error:
            logger.exception("job failed unexpectedly", extra={"job_id": held.job_id})
            self._hand_back(
                held, Failure("unexpected_error", f"{type(error).__name__}; the worker's log has the trace")
            )
        return None

    def _corrected(self, held: Claim, ours: JobIdentity) -> Claim:
        with self._sessions.begin() as session:
            claim = tracking.correct_identity(session, held, ours, datetime.now(UTC))
        facts = {"job_id": held.job_id, "by_job": claim.job_id, "model_digest": ours.model_digest}
        logger.warning("job was opened for other weights or another engine", extra=facts)
        return claim

    def _resumed(self, held: Claim) -> bool:
        with self._sessions.begin() as session:
            if not tracking.encoded_before(session, held):
                return False
            tracking.resume(session, held, destinations.recipients(self._settings), datetime.now(UTC))
        return True

    def task(self, held: Claim) -> pipeline.Task:
        """Return the pipeline's task for a claim: files, job key, results folder, and what was measured before."""
        with self._sessions.begin() as session:
            earlier = tracking.exams_beside(session, held.job_id)
            predecessor = tracking.predecessor(session, held.job_id)
        return pipeline.Task(
            files=tuple(ReceivedFile(Path(file.path), file.digest) for file in held.files),
            job_key=held.key,
            created_at=held.created_at,
            # Absolute, because the path is kept in rows and other processes have other working directories.
            folder=self._settings.results_dir.absolute() / held.key,
            profiles=destinations.profiles(self._settings),
            also=self._settings.objects_beside_seg_and_sr,
            earlier=tuple(past.timepoint_of(row) for row in earlier),
            predecessor=predecessor,
        )

    def _stage_noter(self, held: Claim) -> Callable[[str], None]:
        def note(stage: str) -> None:
            with self._sessions.begin() as session:
                tracking.enter_stage(session, held, stage, datetime.now(UTC))
            logger.info("stage entered", extra={"job_id": held.job_id, "stage": stage})

        return note

    def _record(self, held: Claim, result: pipeline.Result) -> None:
        results = JobResults(
            measurements=tuple(
                MeasurementRow(m.region, m.side, m.zone, m.quantity, m.value, m.unit)
                for m in result.assessment.measurements
            ),
            flags=tuple(FlagRow(flag.code, flag.text, flag.value) for flag in result.assessment.flags),
            outputs=result.outputs,
            exam=past.row_of(result.exam),
        )
        with self._sessions.begin() as session:
            now = datetime.now(UTC)
            if result.implausible is None:
                tracking.record_results(session, held, results, destinations.recipients(self._settings), now)
            else:
                tracking.record_for_review(session, held, results, _failure(result.implausible), now)

    def _end(self, held: Claim, error: PipelineError) -> None:
        logger.warning("job ended without a result", extra={"job_id": held.job_id, "code": error.code})
        if error.retry:
            self._hand_back(held, _failure(error))
            return
        state = JobState.REJECTED if isinstance(error, InputRejected) else JobState.FAILED
        self._finish(held, state, _failure(error))

    def _finish(self, held: Claim, state: JobState, failure: Failure) -> None:
        with self._sessions.begin() as session:
            tracking.finish(session, held, state, failure, datetime.now(UTC))

    def _hand_back(self, held: Claim, failure: Failure) -> None:
        with self._sessions.begin() as session:
            tracking.hand_back(session, held, failure, self._terms, datetime.now(UTC))

    @contextmanager
    def _kept(self, held: Claim) -> Iterator[None]:
        """Renew the lease in a thread while the block runs; if the claim is lost it ends, and the next write fails."""
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(held.lease_s / RENEWALS_PER_LEASE):
                try:
                    with self._sessions.begin() as session:
                        tracking.renew(session, held, datetime.now(UTC))
                except ClaimLost:
                    return
                except OperationalError:
                    logger.warning("lease not renewed, database away", extra={"job_id": held.job_id})

        keeper = threading.Thread(target=renew, name="lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()


def _failure(error: PipelineError) -> Failure:
    return Failure(error.code, str(error), error.detail)
