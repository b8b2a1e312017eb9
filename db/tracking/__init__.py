"""The only way rows change: every change of state and its event are one transaction.

Each function takes a session inside a transaction (``with sessions.begin() as session``) and the time as a parameter.
"""

from db.tracking.arrivals import Arrival, Registered, register
from db.tracking.clock import forget_the_future
from db.tracking.closing import ReceivingSeries, close_series, open_series, series_to_judge
from db.tracking.commitments import (
    answer_later,
    answered,
    due_answers,
    give_up_answer,
    is_committed,
    kept_instances,
    open_answer,
    record_commitment,
)
from db.tracking.deliveries import DueDelivery, PendingObject, delivered, due_deliveries, pending, postpone, refuse
from db.tracking.events import Change, move, verify_chain
from db.tracking.exams import ExamRow, MeasuredExam, exams_beside, exams_of
from db.tracking.identities import correct_identity
from db.tracking.jobs import (
    Claim,
    ClaimedFile,
    Failure,
    JobIdentity,
    LeaseTerms,
    claim,
    current_series_job,
    due_jobs,
    enter_stage,
    finish,
    hand_back,
    open_job,
    renew,
)
from db.tracking.leadership import Leadership, beat, leadership, resign, take_over
from db.tracking.models import ModelIdentity, register_model
from db.tracking.operators import discard, recompute, release, retry
from db.tracking.result_files import expired_results, remove_results
from db.tracking.results import (
    FlagRow,
    JobResults,
    MeasurementRow,
    OutputFile,
    encoded_before,
    predecessor,
    record_for_review,
    record_results,
    resume,
)
from db.tracking.retention import Retention, removable, remove
from db.tracking.routing import (
    BETTER_RECONSTRUCTION,
    NOT_ELIGIBLE,
    StudySeries,
    current_files,
    keep_facts,
    reconsidered,
    skip_series,
    study_series,
)
from db.tracking.series_operators import measure, reconsider
from db.tracking.verification import Anchors, Fault, Verified, anchor, read_anchors, verify_series, verify_site

__all__ = [
    "BETTER_RECONSTRUCTION",
    "NOT_ELIGIBLE",
    "Anchors",
    "Arrival",
    "Change",
    "Claim",
    "ClaimedFile",
    "DueDelivery",
    "ExamRow",
    "Failure",
    "Fault",
    "FlagRow",
    "JobIdentity",
    "JobResults",
    "Leadership",
    "LeaseTerms",
    "MeasuredExam",
    "MeasurementRow",
    "ModelIdentity",
    "OutputFile",
    "PendingObject",
    "ReceivingSeries",
    "Registered",
    "Retention",
    "StudySeries",
    "Verified",
    "anchor",
    "answer_later",
    "answered",
    "beat",
    "claim",
    "close_series",
    "correct_identity",
    "current_files",
    "current_series_job",
    "delivered",
    "discard",
    "due_answers",
    "due_deliveries",
    "due_jobs",
    "encoded_before",
    "enter_stage",
    "exams_beside",
    "exams_of",
    "expired_results",
    "finish",
    "forget_the_future",
    "give_up_answer",
    "hand_back",
    "is_committed",
    "keep_facts",
    "kept_instances",
    "leadership",
    "measure",
    "move",
    "open_answer",
    "open_job",
    "open_series",
    "pending",
    "postpone",
    "predecessor",
    "read_anchors",
    "recompute",
    "reconsider",
    "reconsidered",
    "record_commitment",
    "record_for_review",
    "record_results",
    "refuse",
    "register",
    "register_model",
    "release",
    "removable",
    "remove",
    "remove_results",
    "renew",
    "resign",
    "resume",
    "retry",
    "series_to_judge",
    "skip_series",
    "study_series",
    "take_over",
    "verify_chain",
    "verify_series",
    "verify_site",
]
