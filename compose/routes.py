"""Shows what would happen to the series of a folder: by the listener's checks, the rules, the choice and the gate."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dicom_node.errors import UNPARSEABLE, ReceiveError, WrongSOPClass
from dicom_node.scheduler import headers
from dicom_node.series import completeness, facts, reconstructions, rules
from dicom_node.series.facts import SeriesFacts
from dicom_node.series.rules import Decision, Routing
from dicom_node.spool import part10
from dicom_node.spool.header import Header
from dicom_node.spool.image import Identity
from worker.errors import InputRejected
from worker.reading import series

TAGS = headers.ROW_TAGS | headers.FACTS_TAGS


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
    not_given: tuple[tuple[str, str], ...] = ()


@dataclass
class _Found:
    study_uid: str
    paths: list[Path] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)


def explain(folder: Path, routing_rules: Routing, calling_ae: str) -> tuple[list[Route], int]:
    """Say what would happen to every series below a folder; also return how many files are no DICOM.

    Nothing is sent and nothing is kept.
    """
    found, others = _series_below(folder)
    routes: list[Route] = []
    candidates: dict[str, dict[str, tuple[_Found, SeriesFacts, Decision]]] = defaultdict(dict)
    for uid, one in found.items():
        seen = facts.of([headers.described(header) for header in one.headers], calling_ae, _slices(one))
        refusal = _refusal(one)
        decision = rules.decide(routing_rules, seen)
        if refusal is not None:
            routes.append(Route(uid, one.study_uid, len(one.paths), seen, "refused", refusal))
        elif not decision.analyse:
            why = f"rule: {decision.rule}"
            routes.append(
                Route(uid, one.study_uid, len(one.paths), seen, "skipped", why, decision.passed, decision.not_given)
            )
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
            header = part10.read_file(path, TAGS).header
        except (*UNPARSEABLE, ReceiveError):
            others += 1
            continue
        one = found.setdefault(header.uid("SeriesInstanceUID"), _Found(header.uid("StudyInstanceUID")))
        one.paths.append(path)
        one.headers.append(header)
    return found, others


def _slices(one: _Found) -> int:
    return completeness.measure([headers.plane_of(header) for header in one.headers]).slices or len(one.headers)


def _refusal(one: _Found) -> str | None:
    """Say why the listener would not take a series."""
    try:
        for header in one.headers:
            Identity.of(header).require_ct()
    except WrongSOPClass as error:
        return f"{error}: its class gets no presentation context"
    except ReceiveError as error:
        return f"{error}: the sender is told 0x{error.status:04X}"
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
