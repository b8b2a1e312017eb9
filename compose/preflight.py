"""Everything that a site is told by settings and files, checked before any of its parts starts.

A part that finds a slip of the pen only when it runs would be started again for ever.
"""

from compose.settings import SiteSettings
from dicom_node import scheduling, site_file
from worker import identity


def require_usable(site: SiteSettings) -> None:
    """Read every file that the settings name, as the parts will.

    Raises
    ------
    NodeError
        The site file, the TLS files, the source or what guards STOW-RS cannot be used.
    PipelineError
        The weights are not those of their model card.
    """
    scheduling.callbacks(site.node, site_file.load(site.node.site_file))
    if site.node.source:
        scheduling.open_source_of(site.node)
    if site.node.web_port:
        # The server's libraries would slow down every other command.
        from dicom_node.stow import server  # noqa: PLC0415

        server.require_guard(site.node)
    identity.current(site.worker)
