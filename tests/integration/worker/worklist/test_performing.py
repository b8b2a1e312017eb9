"""A work item from SCHEDULED to its end, and what the worklist is told."""

from pathlib import Path

from pydicom import Dataset

from tests.support import services
from tests.support.ups_server import CANCELED, COMPLETED, IN_PROGRESS, SCHEDULED, UpsServer
from tests.support.workitems import NOW, Site, coded, later, series_named, workitem
from worker.worklist_section import Code


def held_by_orthanc(orthanc: services.Orthanc, sop_uid: str) -> bool:
    """Whether the archive has an object."""
    return bool(orthanc.request("POST", "/tools/find", {"Level": "Instance", "Query": {"SOPInstanceUID": sop_uid}}))


def output(ups: UpsServer, uid: str) -> list[Dataset]:
    """Return what an item says came of it."""
    (performed,) = ups.items[uid].UnifiedProcedureStepPerformedProcedureSequence
    return list(performed.OutputInformationSequence)


def test_an_item_is_completed_with_what_lies_in_orthanc(
    ups: UpsServer, site: Site, orthanc: services.Orthanc, tmp_path: Path
) -> None:
    site.proves_by_query(tmp_path / "site.toml", orthanc.destination)
    uid, performer = ups.add(site.item()), site.performer()
    performer.search(NOW)
    performer.advance(NOW)
    assert ups.state(uid) == IN_PROGRESS
    assert ups.items[uid].ProcedureStepProgressInformationSequence[0].ProcedureStepProgress == 0
    site.receive()
    performer.advance(NOW)
    job_id = site.measure(orthanc.destination)
    performer.advance(NOW)
    assert ups.state(uid) == IN_PROGRESS
    site.deliver(job_id, orthanc.destination)
    for _ in range(2):
        performer.advance(NOW)
    assert (ups.state(uid), site.rows()) == (IN_PROGRESS, ["working"]), "sent is not proven"
    site.prove(job_id, orthanc.destination)
    for _ in range(2):
        performer.advance(NOW)
    assert ups.state(uid) == COMPLETED
    said = output(ups, uid)
    named = [image.ReferencedSOPInstanceUID for one in said for image in one.ReferencedSOPSequence]
    assert len(named) == len(set(named)) == 2
    assert all(held_by_orthanc(orthanc, sop_uid) for sop_uid in named)
    assert {one.DICOMRetrievalSequence[0].RetrieveAETitle for one in said} == {"ORTHANC"}
    (performed,) = ups.items[uid].UnifiedProcedureStepPerformedProcedureSequence
    assert performed.PerformedWorkitemCodeSequence[0].CodeValue == "ILD"
    assert performed.PerformedStationNameCodeSequence[0].CodeValue == "SCLEROSCAN"
    assert site.story(uid) == [
        (None, "working", "claimed"), ("working", "completing", None), ("completing", "completed", None),
    ]  # fmt: skip
    assert site.row(uid).jobs == [job_id]


def test_a_result_that_is_there_already_completes_an_item(ups: UpsServer, site: Site) -> None:
    site.receive()
    site.delivered_to("https://pacs.example/dicom-web")
    uid, performer = ups.add(site.item()), site.performer()
    performer.search(NOW)
    for _ in range(3):
        performer.advance(NOW)
    assert ups.state(uid) == COMPLETED
    urls = [one.WADORSRetrievalSequence[0].RetrieveURL for one in output(ups, uid)]
    start = f"https://pacs.example/dicom-web/studies/{site.study_uid}/series/"
    assert all(url.startswith(start) for url in urls)


def test_a_refused_series_cancels_the_item_with_its_code(ups: UpsServer, site: Site) -> None:
    uid, performer = ups.add(site.item()), site.performer()
    site.receive()
    site.refuse("missing_slices")
    performer.search(NOW)
    for _ in range(3):
        performer.advance(NOW)
    assert ups.state(uid) == CANCELED
    (said,) = ups.items[uid].ProcedureStepProgressInformationSequence
    assert said.ReasonForCancellation == "missing_slices: 3 slices are missing"
    (reason,) = said.ProcedureStepDiscontinuationReasonCodeSequence
    assert (reason.CodeValue, reason.CodingSchemeDesignator) == ("110523", "DCM")
    assert (site.row(uid).code, site.rows()) == ("missing_slices", ["canceled"])
    assert site.story(uid)[-1] == ("canceling", "canceled", "missing_slices")


def test_an_item_without_images_is_canceled(ups: UpsServer, site: Site) -> None:
    uid, performer = ups.add(workitem()), site.performer()
    performer.search(NOW)
    for _ in range(3):
        performer.advance(NOW)
    assert (ups.state(uid), site.row(uid).code) == (CANCELED, "no_input")


def test_only_items_of_ours_are_claimed(ups: UpsServer, site: Site) -> None:
    ours = ups.add(workitem(ScheduledStationNameCodeSequence=[coded("AI-1")]))
    others = [
        ups.add(workitem(WorklistLabel="REPORTS", ScheduledStationNameCodeSequence=[coded("AI-1")])),
        ups.add(workitem(InputReadinessState="INCOMPLETE", ScheduledStationNameCodeSequence=[coded("AI-1")])),
        ups.add(workitem(ScheduledStationNameCodeSequence=[coded("AI-1", "99OTHER")])),
        ups.add(workitem()),
    ]
    performer = site.performer(station=Code(value="AI-1", scheme="99SITE", meaning="Room 1"))
    performer.search(NOW)
    performer.advance(NOW)
    assert ups.state(ours) != SCHEDULED
    assert {ups.state(uid) for uid in others} == {SCHEDULED}


def test_no_more_items_are_claimed_than_may_be_ours(ups: UpsServer, site: Site) -> None:
    named = [series_named("1.2", f"1.2.{number}", ["1.2.3"]) for number in range(4)]
    urgent = ups.add(workitem(named[0], ScheduledProcedureStepPriority="LOW"))
    for one in named[1:]:
        ups.add(workitem(one, ScheduledProcedureStepPriority="HIGH"))
    performer = site.performer(at_once=3)
    for _ in range(2):
        performer.search(NOW)
        performer.advance(NOW)
    assert [ups.state(uid) for uid in ups.items].count(IN_PROGRESS) == 3
    assert ups.state(urgent) == SCHEDULED


def test_a_discarded_job_cancels_its_item(ups: UpsServer, site: Site) -> None:
    uid, performer = ups.add(site.item()), site.performer()
    site.receive()
    performer.search(NOW)
    job_id = site.fail()
    for _ in range(3):
        performer.advance(NOW)
    assert ups.state(uid) == IN_PROGRESS, "a person may have it tried again"
    site.discard(job_id)
    for _ in range(2):
        performer.advance(NOW)
    assert (ups.state(uid), site.row(uid).code) == (CANCELED, "image_changed")


def test_a_failed_job_is_given_up_in_time(ups: UpsServer, site: Site) -> None:
    uid, performer = ups.add(site.item()), site.performer()
    site.receive()
    performer.search(NOW)
    site.fail()
    for moment in (NOW, NOW, later(601), later(602)):
        performer.advance(moment)
    assert (ups.state(uid), site.row(uid).code) == (CANCELED, "image_changed")
