"""The doctor's check of the worklist."""

from sqlalchemy.exc import OperationalError

from compose.check import Check
from compose.settings import SiteSettings
from db import schema, tracking
from db.errors import SchemaOutdated
from worker import destinations
from worker.errors import PipelineError

UNHEARD = "it takes no subscription: requests to cancel are not heard"


def worklist(site: SiteSettings) -> list[Check]:
    """Search the worklist, where there is one; nothing is claimed."""
    one = destinations.worklist(site.worker) if site.has_worklist else None
    if one is None:
        return []
    from worker.worklist.service import UpsService  # noqa: PLC0415  for sites that have one alone

    try:
        found = UpsService(one).search(most=1)
    except PipelineError as error:
        mend = "start the worklist, or mend its URL and login in the site file"
        return [Check(f"UPS-RS {one.url}", False, str(error), mend)]
    waits = "an item of ours waits" if found else "no item of ours waits"
    return [Check(f"UPS-RS {one.url}", True, f"answers: {waits}", UNHEARD if _is_unheard(site) else "")]


def _is_unheard(site: SiteSettings) -> bool:
    try:
        with schema.open_current(site.db_url).begin() as session:
            return tracking.hears_cancels(session) is False
    except (OperationalError, SchemaOutdated):
        return False
