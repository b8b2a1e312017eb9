"""A worker computes under its own identity, whatever the node that opened a job took it for."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import JobInstance
from db.tracking.events import Change
from db.tracking.jobs import Claim, ImageSet, JobIdentity, fenced, place_job, start_attempt


def correct_identity(session: Session, held: Claim, identity: JobIdentity, now: datetime) -> Claim:
    """Exchange a claim for one of the job of the same images under the claimant's own identity.

    The attempts of the job that is superseded are carried over: workers with different weights cannot hand a job to
    and fro more often than it may be claimed. Raises ClaimLost where someone else has the job.
    """
    wrong = fenced(session, held)
    instance_ids = session.scalars(select(JobInstance.instance_id).where(JobInstance.job_id == wrong.id)).all()
    images = ImageSet(wrong.series_uid, wrong.instances_digest, tuple(instance_ids))
    job = place_job(session, images, identity, wrong, Change(held.who, now, "identity_corrected"))
    # The claim itself is one of them, and goes on as the one that starts now.
    job.attempt += wrong.attempt - wrong.attempts_forgiven - 1
    return start_attempt(session, job, held.who, held.lease_s, now)
