"""What a person can do about each code; for refusals in the words of ``docs/reference/refusal-codes.md``."""

from collections.abc import Mapping
from typing import Final

from db.states import JobState, SeriesState

REFUSED: Final = {
    "unreadable_file": "Send the series again.",
    "no_identity": "Send the images as the scanner or the archive holds them.",
    "mixed_series": "Measure one series at a time.",
    "several_studies": "Send the series again as a series of one study.",
    "several_patients": "Send every image again with the right identity.",
    "not_ct": "Send the axial CT images.",
    "derived_image": "Send the axial originals.",
    "no_geometry": "Send the images as the scanner made them.",
    "not_axial": "Send the axial reconstruction.",
    "too_few_slices": "Send the whole series.",
    "no_frame_of_reference": "Send the images as the scanner made them.",
    "several_frames_of_reference": "Send each acquisition as a series of its own.",
    "mixed_geometry": "Send each reconstruction as a series of its own.",
    "duplicate_positions": "Send each reconstruction, phase or acquisition as a series of its own.",
    "gantry_tilt": "Send a reconstruction without tilt.",
    "missing_slices": "Send the whole series again.",
    "irregular_spacing": "Send a reconstruction with one spacing.",
    "shifted_slices": "Send a reconstruction with one centre.",
    "several_stacks": "Send the one to be measured as a series of its own.",
    "not_hounsfield": "Send the original CT images.",
    "pixel_bomb": "Send the series again from the scanner.",
    "undecodable_pixels": "Send the series again, uncompressed.",
    "not_chest": "Send the chest CT.",
    "no_lungs": "Send the chest CT, with both lungs in it.",
}
SERIES: Final = {
    "gap_remains": "Send the whole series again.",
    "fewer_than_expected": "Send the series again, or fetch the rest: scleroscan pull.",
    "fewer_than_before": "Send every image of the series again.",
    "association_broken_off": "Send the series again; the same images will do.",
    "unjudgeable": "Look at the log of the scheduler for the kind of error, then send the series again.",
    "not_eligible": "Where it should have been measured: mend the rules of the site file, start the scheduler anew, "
    "then reconsider it.",
    "better_reconstruction": "Nothing, where the other series is the right one: it is measured in place of this.",
}
REVIEW: Final = {
    "doubtful_lung_mask": "Look at what was taken for lung on the page, then release or discard the result.",
    "implausible_extent": "Look at the overlay and the numbers, then release or discard the result.",
    "implausible_lung_volume": "See whether the images show both lungs whole, then release or discard the result.",
}
FAILED: Final = {
    "image_changed": "Look at the disk of the spool, send the series again, then retry.",
    "output_damaged": "Recompute: the objects are written again under the same UIDs.",
    "unsendable_file": "Recompute: the objects are written again under the same UIDs.",
    "weights_mismatch": "Install the weights that the model card names, then retry.",
    "device_unavailable": "See that the GPU is free, or set WORKER_DEVICE=cpu, then retry.",
    "attempts_exhausted": "Look at the log of the analyse worker, then retry.",
    "unexpected_error": "Look at the log of the worker, then retry.",
    "encoding_failed": "Keep the series for a report to the makers; its headers give no valid object.",
    "profile_not_made": "Recompute: the objects are written as the destinations want them now.",
    "delivery_failed": "Mend what the dead letters below name, then retry.",
}
DELIVERY: Final = {
    "name_unknown": "Look at the name of the destination, and at the name server.",
    "connection_refused": "See that the archive listens at this address and port.",
    "connection_timeout": "See that the archive runs, and that no firewall lies between.",
    "no_answer": "See that the archive is not overloaded.",
    "tls_failed": "Compare the certificates of both sides: trust, names, dates.",
    "tls_files": "See that our TLS files are there and belong together.",
    "login_unreadable": "See that the file with our login can be read.",
    "rejected_for_now": "Nothing yet: the archive asks for patience.",
    "broke_off": "Nothing yet; where it happens again, look at the archive and the network between.",
    "token_server_away": "See that the server that gives tokens answers.",
    "out_of_resources": "Give the archive room.",
    "archive_busy": "Nothing yet: the archive asks for patience.",
    "association_rejected": "Enter our AE title in the archive, and look at the one of its address here.",
    "no_presentation_context": "Let the archive accept this kind of object, or leave it out for this destination.",
    "store_refused": "Look at the log of the archive: it refused this object.",
    "too_many_frames": "Raise max_frames of this destination, or ask for fewer segments or labels there.",
    "report_refused": "Look at the log of the receiver: it says which part of the report it refused.",
    "login_refused": "Look at our login at the archive.",
    "web_refused": "Look at the URL of the destination.",
    "bad_destination": "Mend the address in WORKER_DESTINATIONS or the site file.",
    "output_damaged": "Recompute the job.",
    "unsendable_file": "Recompute the job.",
    "not_kept": "Look at the archive: it took the object and does not have it.",
    "class_conflict": "Look at the archive: it has another object under this UID.",
}
BY_STATE: Final[Mapping[str, str]] = {
    JobState.REJECTED: "Send images that can be measured, or recompute once the cause is mended.",
    JobState.REVIEW: "Look at the pictures and numbers, then release the result as it is, or discard it.",
    JobState.FAILED: "Mend the cause, then retry.",
    SeriesState.INCOMPLETE: "Send the series again.",
}
OF_STATE: Final[Mapping[str, Mapping[str, str]]] = {
    JobState.REJECTED: REFUSED,
    JobState.REVIEW: REVIEW,
    JobState.FAILED: FAILED,
    SeriesState.INCOMPLETE: SERIES,
    SeriesState.SKIPPED: SERIES,
}


def for_series(state: str, code: str | None) -> str:
    """Return what to do about a series that stopped; empty where nothing is to be done."""
    words = OF_STATE.get(state, {}).get(code or "")
    return words or BY_STATE.get(state, "")


def for_delivery(code: str | None) -> str:
    """Return what to do about a delivery in trouble; empty where nobody knows."""
    return DELIVERY.get(code or "", "")
