"""The only way rows change: every change of state and its event are one transaction.

Each function takes a session inside a transaction (``with sessions.begin() as session``) and the time as a parameter.
"""

from db.tracking.arrivals import Arrival, QuietSeries, close_series, quiet_series, register
from db.tracking.clock import forget_the_future
from db.tracking.deliveries import (
    DueDelivery,
    PendingObject,
    delivered,
    due_deliveries,
    pending,
    postpone,
    refuse,
)
from db.tracking.events import Change, move, verify_chain
from db.tracking.jobs import (
    Claim,
    ClaimedFile,
    Failure,
    JobIdentity,
    LeaseTerms,
    ModelIdentity,
    claim,
    current_series_job,
    due_jobs,
    enter_stage,
    finish,
    hand_back,
    open_job,
    register_model,
    renew,
    retry,
)
from db.tracking.results import (
    JobResults,
    OutputFile,
    encoded_before,
    record_for_review,
    record_results,
    resume,
)
from db.tracking.retention import removable, remove

__all__ = [
    "Arrival",
    "Change",
    "Claim",
    "ClaimedFile",
    "DueDelivery",
    "Failure",
    "JobIdentity",
    "JobResults",
    "LeaseTerms",
    "ModelIdentity",
    "OutputFile",
    "PendingObject",
    "QuietSeries",
    "claim",
    "close_series",
    "current_series_job",
    "delivered",
    "due_deliveries",
    "due_jobs",
    "encoded_before",
    "enter_stage",
    "finish",
    "forget_the_future",
    "hand_back",
    "move",
    "open_job",
    "pending",
    "postpone",
    "quiet_series",
    "record_for_review",
    "record_results",
    "refuse",
    "register",
    "register_model",
    "removable",
    "remove",
    "renew",
    "resume",
    "retry",
    "verify_chain",
]
