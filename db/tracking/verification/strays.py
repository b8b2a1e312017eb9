"""Rows that belong to no series: the database refuses them, unless whoever owns it has switched that off."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from db.tables import Base, Instance, Series, Study


def faults(session: Session) -> Iterator[str]:
    """Yield a sentence for each reference that leads nowhere, and for each study whose patient no image names."""
    for table in Base.metadata.sorted_tables:
        for key in sorted(table.foreign_keys, key=lambda one: str(one.parent.name)):
            # An alias: a job may refer to another.
            other = key.column.table.alias()
            there = select(other.c[key.column.name]).where(other.c[key.column.name] == key.parent)
            lost = select(func.count()).select_from(table).where(key.parent.is_not(None), ~there.exists())
            if count := session.scalar(lost):
                yield f"{count} rows of {table.name} name a {key.column.table.name} that is not there"
    for uid in session.scalars(_unnamed()):
        yield f"study {uid} names a patient whom none of its images names"


def _unnamed() -> Select[Any]:
    image = select(Instance.id).join(Series, Series.uid == Instance.series_uid).where(Series.study_uid == Study.uid)
    named = image.where(
        Instance.patient_id == Study.patient_id,
        Instance.patient_name == Study.patient_name,
        Instance.accession_number == Study.accession_number,
    )
    return select(Study.uid).where(~named.exists()).order_by(Study.uid)
