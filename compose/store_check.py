"""The doctor's and the monitor's checks of the object store."""

from compose.check import Check
from compose.settings import SiteSettings
from dicom_node.errors import BadSetting, StoreFault
from dicom_node.settings import NodeSettings
from dicom_node.store.opening import open_store
from dicom_node.store.trouble import StoreTrouble

STORE = "object store"
MEND = "start it, or mend DICOM_NODE_STORE_URL, DICOM_NODE_STORE_OPTIONS or its login; nothing is removed meanwhile"


def store(site: SiteSettings) -> list[Check]:
    """Write a small object, read it back and remove it, where there is a store; else tell what the scheduler met."""
    if site.node.store_url is None:
        return []
    try:
        open_store(site.node).try_out()
    except (BadSetting, StoreFault) as error:
        return [Check(STORE, False, str(error), MEND)]
    noted = noted_trouble(site.node)
    if not noted.ok:
        return [noted]
    return [Check(STORE, True, f"{site.node.store_url} takes an object, gives it back and removes it")]


def noted_trouble(node: NodeSettings) -> Check:
    """Say what the scheduler noted when it last copied; the store itself is not asked."""
    trouble = StoreTrouble(node.spool_dir).read()
    if trouble is None:
        return Check(STORE, True, "takes what is due")
    found = f"{trouble.code} since {trouble.since}: {trouble.said}"
    others = f" (and {trouble.waiting - 1} more)" if trouble.waiting > 1 else ""
    return Check(STORE, False, f"{found}{others}", MEND)
