"""Where files lie in the store: as people look for them, and as the folders here have them."""

from dicom_node.errors import BadPath, UnreadableInstance
from dicom_node.spool.image import check_uid


def images(study_uid: str, series_uid: str) -> str:
    """Return the folder of a series' images. Raises BadPath where a row has a UID that is none."""
    try:
        for uid in (study_uid, series_uid):
            check_uid(uid)
    except UnreadableInstance as error:
        raise BadPath("the row of a series has a UID that is no folder") from error
    return f"images/{study_uid}/{series_uid}"


def results(key: str) -> str:
    """Return the folder of a job's results, by the key of the job."""
    return f"results/{key}"
