"""What would happen to the series of a folder, and why: the listener's checks, the rules, the choice, the gate."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset, dcmread

from dicom_node.errors import UNPARSEABLE
from dicom_node.scheduler.registrar import TAGS, plane_of
from dicom_node.series import completeness, facts, reconstructions, rules
from dicom_node.series.facts import SeriesFacts
from dicom_node.series.rules import Decision, Routing
from dicom_node.spool.image import CT_CLASSES
from worker.errors import InputRejected
from worker.reading import series

IDENTITY = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")


@dataclass(frozen=True)
class Route:
    """One series of a folder: ``outcome`` is measured, skipped, rejected or refused; ``why`` says by what."""

    series_uid: str
    study_uid: str
    files: int
    facts: SeriesFacts
    outcome: str
    why: str
    passed: tuple[tuple[str, str], ...] = ()


@dataclass
class _Found:
    study_uid: str
    paths: list[Path] = field(default_factory=list)
    headers: list[Dataset] = field(default_factory=list)


def explain(folder: Path, routing_rules: Routing, calling_ae: str) -> tuple[list[Route], int]:
    """Say what would happen to every series below a folder; also return how many files are no DICOM.

    Nothing is sent and nothing is kept.
    """
    found, others = _series_below(folder)
    routes: list[Route] = []
    candidates: dict[str, dict[str, tuple[_Found, SeriesFacts, Decision]]] = defaultdict(dict)
    for uid, one in found.items():
        seen = facts.from_headers(one.headers, calling_ae, _slices(one))
        refusal = _refusal(uid, one)
        decision = rules.decide(routing_rules, seen)
        if refusal is not None:
            routes.append(Route(uid, one.study_uid, len(one.paths), seen, "refused", refusal))
        elif not decision.analyse:
            why = f"rule: {decision.rule}"
            routes.append(Route(uid, one.study_uid, len(one.paths), seen, "skipped", why, decision.passed))
        else:
            candidates[one.study_uid][uid] = (one, seen, decision)
    for study in candidates.values():
        routes += _chosen(study, routing_rules)
    return sorted(routes, key=lambda route: (route.study_uid, route.series_uid)), others


def _series_below(folder: Path) -> tuple[dict[str, _Found], int]:
    found: dict[str, _Found] = {}
    others = 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=[*TAGS, *facts.TAGS])
        except UNPARSEABLE:
            others += 1
            continue
        one = found.setdefault(_text(header, "SeriesInstanceUID"), _Found(_text(header, "StudyInstanceUID")))
        one.paths.append(path)
        one.headers.append(header)
    return found, others


def _slices(one: _Found) -> int:
    return completeness.measure([plane_of(header) for header in one.headers]).slices or len(one.headers)


def _refusal(uid: str, one: _Found) -> str | None:
    """Say why the listener would not take a series."""
    classes = {_text(header, "SOPClassUID") for header in one.headers}
    missing = [name for name in IDENTITY if not all(_text(header, name) for header in one.headers)]
    if missing or not uid:
        return f"the data sets lack {', '.join(missing)}: the sender is told 0xC000"
    if not classes <= set(CT_CLASSES):
        return "no CT image: its class gets no presentation context"
    return None


def _chosen(study: dict[str, tuple[_Found, SeriesFacts, Decision]], routing_rules: Routing) -> list[Route]:
    chosen = reconstructions.choose(routing_rules.choice, {uid: seen for uid, (_, seen, _) in study.items()})
    routes = []
    for uid, (one, seen, decision) in study.items():
        outcome, why = _gate(one.paths)
        other = chosen.others.get(uid)
        if other is not None and routing_rules.choice.measure == "best":
            outcome = "skipped"
            why = f"better reconstruction: {other['chosen']} by {other['by']} ({other['better']}, not {other['this']})"
        routes.append(Route(uid, one.study_uid, len(one.paths), seen, outcome, why, decision.passed))
    return routes


def _gate(paths: Sequence[Path]) -> tuple[str, str]:
    try:
        read = series.read(paths)
    except InputRejected as error:
        return "rejected", f"{error.code}: {error}"
    noted = ", ".join(flag.code for flag in read.flags)
    return "measured", f"{len(read.volume.sop_uids)} slices pass the gate" + (f"; noted: {noted}" if noted else "")


def _text(header: Dataset, keyword: str) -> str:
    try:
        return str(header.get(keyword) or "")
    except UNPARSEABLE:
        return ""
