"""Closes series: judges them by evidence, applies the rules, chooses among reconstructions and opens the jobs."""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.engine import is_of_the_values
from db.states import JobState, SeriesState
from db.tracking import JobIdentity, ReceivingSeries, Retention, StudySeries
from dicom_node.scheduler import headers
from dicom_node.scheduler.agenda import Agenda
from dicom_node.scheduler.anchoring import Anchoring
from dicom_node.scheduler.commitment_judge import CommitmentJudge
from dicom_node.scheduler.commitment_reports import CommitmentReports
from dicom_node.scheduler.expectations import Expectations
from dicom_node.scheduler.result_files import ResultFiles
from dicom_node.series import completeness, reconstructions, rules
from dicom_node.series.completeness import Complete, Evidence, Incomplete, Policy
from dicom_node.series.facts import SeriesFacts
from dicom_node.series.rules import EVERYTHING, Routing
from dicom_node.spool.associations import OpenSeries

logger = logging.getLogger(__name__)
REFRESH_EVERY = timedelta(seconds=5)
# At most by so much the clock of a worker on another host differs, and a transaction lasts.
CLOCKS_DIFFER = timedelta(hours=1)
UNJUDGEABLE = "unjudgeable"
# The errors that values can raise which no header should hold, here or in the database.
OF_THE_SERIES = (ArithmeticError, AttributeError, LookupError, RecursionError, StatementError, TypeError, ValueError)


@dataclass(frozen=True)
class Terms:
    """What a site sets for its scheduler: the identity of jobs, waiting times, rules, retention.

    ``renotify_s``: work that still waits so long after a wake-up gets another one, where messages were lost.
    ``study_wait_s``: so long a series that is whole waits for others of its study that are still being received.
    ``retention`` says when images leave the spool; without it they stay for ever.
    ``results``: the folder of result files and their time; without it they stay for ever.
    ``anchoring`` notes the heads of all event chains outside the database.
    ``may_correct_patients``: senders are known, so an image sent again may name another patient.
    ``reports``: what archives report on results of ours, where they are asked to commit to them.
    ``expectations`` and ``commitments`` give further evidence that a series is whole, where a site has them.
    """

    identity: JobIdentity
    policy: Policy
    renotify_s: float
    retention: Retention | None = None
    expectations: Expectations = field(default_factory=lambda: Expectations(None))
    commitments: CommitmentJudge | None = None
    reports: CommitmentReports | None = None
    routing: Routing = EVERYTHING
    study_wait_s: float = 60.0
    may_correct_patients: bool = True
    results: ResultFiles | None = None
    anchoring: Anchoring | None = None


@dataclass(frozen=True)
class Candidate:
    """A series that may be closed now, with the verdict on it and its facts."""

    series: ReceivingSeries
    verdict: Complete | Incomplete
    facts: SeriesFacts


class Closer:
    """Closes series that are whole, or for which the wait is over, and opens their jobs."""

    def __init__(self, sessions: sessionmaker[Session], open_series: OpenSeries, terms: Terms) -> None:
        self._sessions = sessions
        self._open_series = open_series
        self._terms = terms
        self._agenda = Agenda()
        self._facts: dict[str, tuple[datetime, SeriesFacts]] = {}
        self._refresh_at: datetime | None = None
        self._refreshed: datetime | None = None

    def run(self, now: datetime, carried: frozenset[str], rows_changed: bool = True) -> None:
        """Close every series that can be closed now.

        ``carried`` are the series that were carried by an open association when images were last listed: they wait too.
        ``rows_changed`` says that this scheduler wrote rows of series since the last run, so they are read again at
        once. Rows that others wrote, such as an operator, are read every few seconds.
        """
        if rows_changed or self._refresh_at is None or not now < self._refresh_at <= now + REFRESH_EVERY:
            self._refresh(now)
        self._agenda.note_carried(carried | self._open_series.carried_now(), now)
        due = self._agenda.due(now)
        studies: dict[str, list[Candidate]] = defaultdict(list)
        for one in self._eligible(due, now):
            studies[one.series.study_uid].append(one)
        for study_uid, eligible in studies.items():
            # Series that wait for others of this study are compared now too, though their own next look is later.
            eligible.extend(self._eligible(self._open_siblings(study_uid, due), now))
            with self._own_fault([one.series.series_uid for one in eligible], now):
                self._choose(study_uid, eligible, now)

    def _eligible(self, series_uids: Iterable[str], now: datetime) -> list[Candidate]:
        """Judge series, close those that need no comparison, and return those to compare within their study."""
        found = []
        for series_uid in series_uids:
            with self._own_fault([series_uid], now):
                one = self._judged(series_uid, now)
                if one is not None and self._is_to_be_compared(one, now):
                    found.append(one)
        return found

    def _open_siblings(self, study_uid: str, judged: Collection[str]) -> list[str]:
        with self._sessions.begin() as session:
            beside = tracking.study_series(session, study_uid)
        is_open = {other.series_uid for other in beside if other.state == SeriesState.RECEIVING}
        return sorted(is_open - set(judged))

    def _refresh(self, now: datetime) -> None:
        self._refresh_at = now + REFRESH_EVERY
        since = min(self._refreshed, now) - CLOCKS_DIFFER if self._refreshed else None
        with self._sessions.begin() as session:
            for series_uid in tracking.reconsidered(session, now, since):
                logger.info("series considered again", extra={"series_uid": series_uid})
            self._agenda.refresh(tracking.open_series(session), now)
        self._refreshed = now

    def look_at_all(self, now: datetime) -> None:
        """Judge every open series at the next run, because there is new evidence."""
        self._agenda.look_at_all(now)

    def _judged(self, series_uid: str, now: datetime) -> Candidate | None:
        """Judge one series; None where it has to wait, or has been closed by another process."""
        with self._sessions.begin() as session:
            series = tracking.series_to_judge(session, series_uid)
        if series is None:
            self._forget(series_uid)
            return None
        is_open = self._agenda.is_carried(series_uid)
        # Asked after is_carried: an association that ends between the two questions is then noticed here.
        broke_off = not is_open and self._open_series.broke_off(series_uid)
        expected = None if is_open else self._terms.expectations.number_of(series, now)
        evidence = Evidence(
            planes=series.planes,
            last_arrival_at=series.last_arrival_at,
            association_open=is_open,
            expected=expected,
            committed=series.committed,
            broke_off=broke_off,
            not_sent_again=series.not_sent_again,
        )
        verdict = completeness.judge(evidence, self._terms.policy, now)
        if isinstance(verdict, Complete | Incomplete):
            return Candidate(series, verdict, self._facts_of(series))
        self._agenda.look_again(series_uid, self._next_look(series, now))
        return None

    @contextmanager
    def _own_fault(self, series_uids: Sequence[str], now: datetime) -> Iterator[None]:
        """Close series whose own values raise an error as ``unjudgeable``, so that they do not stop all others."""
        try:
            yield
        except OF_THE_SERIES as error:
            if isinstance(error, StatementError) and not is_of_the_values(error):
                raise
            for series_uid in series_uids:
                self._close_unjudged(series_uid, type(error).__name__, now)

    def _close_unjudged(self, series_uid: str, error: str, now: datetime) -> None:
        with self._sessions.begin() as session:
            tracking.close_series(session, series_uid, SeriesState.INCOMPLETE, UNJUDGEABLE, {"error": error}, now)
        self._forget(series_uid)
        # Without the message of the error, which may show values of a header.
        logger.error("series cannot be judged", extra={"series_uid": series_uid, "error": error})

    def _next_look(self, series: ReceivingSeries, now: datetime) -> datetime:
        """Return the next time at which the verdict may change, even if no image comes and no association ends."""
        policy = self._terms.policy
        ends = (policy.settle_s, policy.quiet_s, policy.gap_wait_s, policy.stalled_s)
        times = [at for end_s in ends if (at := series.last_arrival_at + timedelta(seconds=end_s)) > now]
        return min([*times, now + self._terms.expectations.ask_again])

    def _facts_of(self, series: ReceivingSeries) -> SeriesFacts:
        """Return the facts of a series; its headers are read again only after a new image has come."""
        known = self._facts.get(series.series_uid)
        if known is not None and known[0] == series.last_arrival_at:
            return known[1]
        with self._sessions.begin() as session:
            files = tracking.current_files(session, series.series_uid)
        slices = completeness.measure(series.planes).slices or len(files)
        found = headers.facts_of([Path(path) for path, _ in files], files[0][1] if files else "", slices)
        self._facts[series.series_uid] = (series.last_arrival_at, found)
        return found

    def _is_to_be_compared(self, one: Candidate, now: datetime) -> bool:
        """Close or skip a series that needs no comparison; return whether it has to be compared within its study."""
        decision = rules.decide(self._terms.routing, one.facts, isinstance(one.verdict, Complete))
        if not decision.analyse:
            lacking = {"not_given": dict(decision.not_given)} if decision.not_given else {}
            self._skip(one, tracking.NOT_ELIGIBLE, {"rule": decision.rule, **lacking, **one.verdict.detail}, now)
            return False
        if isinstance(one.verdict, Incomplete) or self._terms.routing.choice.measure == "all":
            self._close(one, now)
            return False
        return True

    def _choose(self, study_uid: str, eligible: Sequence[Candidate], now: datetime) -> None:
        with self._sessions.begin() as session:
            beside = tracking.study_series(session, study_uid)
        ready = {one.series.series_uid: one for one in eligible}
        still_coming = any(other.state == SeriesState.RECEIVING and other.series_uid not in ready for other in beside)
        last_arrival_at = max(one.series.last_arrival_at for one in eligible)
        if still_coming and now - last_arrival_at < timedelta(seconds=self._terms.study_wait_s):
            return
        candidates = {o.series_uid: SeriesFacts.from_json(o.facts) for o in beside if o.facts and _competes(o)}
        candidates |= {uid: one.facts for uid, one in ready.items()}
        chosen = reconstructions.choose(self._terms.routing.choice, candidates)
        for uid, one in ready.items():
            if uid == chosen.series_uid:
                self._close(one, now)
            else:
                self._skip(one, tracking.BETTER_RECONSTRUCTION, {**chosen.others[uid], **one.verdict.detail}, now)

    def _close(self, one: Candidate, now: datetime) -> None:
        uid, verdict = one.series.series_uid, one.verdict
        state = SeriesState.COMPLETE if isinstance(verdict, Complete) else SeriesState.INCOMPLETE
        with self._sessions.begin() as session:
            tracking.keep_facts(session, uid, asdict(one.facts))
            tracking.close_series(session, uid, state, verdict.code, verdict.detail, now)
            job_id = self._open_job(session, uid, verdict, now)
        self._forget(uid)
        logger.info("series closed", extra={"series_uid": uid, "state": state, "code": verdict.code, "job_id": job_id})

    def _open_job(self, session: Session, series_uid: str, verdict: Complete | Incomplete, now: datetime) -> int | None:
        # A stack cut off at an end looks whole to the reading gate, which would measure a part as the whole.
        if isinstance(verdict, Incomplete) and verdict.is_cut_off:
            return None
        # Any other incomplete series gets a job too: the gate sees its gap and refuses it with code and numbers.
        return tracking.open_job(session, series_uid, self._terms.identity, now)

    def _skip(self, one: Candidate, code: str, detail: dict[str, object], now: datetime) -> None:
        uid = one.series.series_uid
        with self._sessions.begin() as session:
            tracking.keep_facts(session, uid, asdict(one.facts))
            tracking.skip_series(session, uid, code, detail, now)
        self._forget(uid)
        why = detail.get("rule") or detail.get("by")
        logger.info("series skipped", extra={"series_uid": uid, "code": code, "why": why})

    def _forget(self, series_uid: str) -> None:
        self._agenda.forget(series_uid)
        self._facts.pop(series_uid, None)
        self._terms.expectations.forget(series_uid)


def _competes(other: StudySeries) -> bool:
    """Whether a series that was closed before is compared too: it is whole, and its job was not refused or failed."""
    return other.state == SeriesState.COMPLETE and other.job_state not in {None, JobState.REJECTED, JobState.FAILED}
