"""Moves a claim to a job under the worker's own identity, where the job was opened under another one."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import JobInstance
from db.tracking.events import Change
from db.tracking.jobs import Claim, ImageSet, JobIdentity, fenced, place_job, start_attempt


def correct_identity(session: Session, held: Claim, identity: JobIdentity, now: datetime) -> Claim:
    """Exchange a claim for one on the job of the same images under the worker's own identity.

    The attempts of the superseded job are carried over, so workers with different weights cannot hand a job to and fro
    more often than it may be claimed. Raises ClaimLost where another worker has the job.
    """
    wrong = fenced(session, held)
    instance_ids = session.scalars(select(JobInstance.instance_id).where(JobInstance.job_id == wrong.id)).all()
    images = ImageSet(
        series_uid=wrong.series_uid,
        digest=wrong.instances_digest,
        instance_ids=tuple(instance_ids),
        patient_id=wrong.patient_id,
        accession_number=wrong.accession_number,
    )
    job = place_job(session, images, identity, wrong, Change(held.who, now, "identity_corrected"))
    # One less, because the claim that is exchanged goes on as the attempt that starts now.
    job.attempt += wrong.attempt - wrong.attempts_forgiven - 1
    return start_attempt(session, job, held.who, held.lease_s, now)
