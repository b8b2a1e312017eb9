"""Compares the rows of a site, and the files of its results, with its events, and these with their anchors."""

from db.tracking.verification.anchors import Anchors, anchor, read_anchors, unanchored
from db.tracking.verification.site import Fault, Verified, verify_series, verify_site

__all__ = ["Anchors", "Fault", "Verified", "anchor", "read_anchors", "unanchored", "verify_series", "verify_site"]
