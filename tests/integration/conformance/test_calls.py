"""The statement on DELIVER and QUERY beside what they really propose to an archive, and do with its answers."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import UID

from db.address import ApplicationEntity
from dicom_node.errors import PeerAway
from dicom_node.retrieve.dimse import DimseArchive
from dicom_node.retrieve.request import RetrieveRequest
from dicom_node.retrieve.source import open_source
from dicom_node.spool.folder import Spool
from tests.support import statement
from tests.support.produced import Produced
from tests.support.recording_archive import RecordingArchive, archive
from worker.delivery import dicom
from worker.errors import PeerRefused, PeerUnreachable

VERIFICATION = "1.2.840.10008.1.1"


@pytest.fixture(scope="module")
def pacs() -> Iterator[RecordingArchive]:
    classes = statement.codes(statement.tables("3.8")[0], "UID") + statement.codes(statement.table("3.9"), "UID")
    with archive([VERIFICATION, *classes]) as one:
        yield one


def entity(pacs: RecordingArchive) -> ApplicationEntity:
    return ApplicationEntity("PACS", "127.0.0.1", pacs.port)


def policy(name: str, column: str) -> str:
    (row,) = (row for row in statement.table("3.2") if row["policy"] == name)
    return statement.CODE.findall(row[column])[0]


def test_a_delivery_proposes_what_is_listed(pacs: RecordingArchive, produced: Produced) -> None:
    dicom.store(list(produced.paths.values()), entity(pacs), "SCLEROSCAN")
    rows = statement.tables("3.8")[0]
    listed = zip(statement.codes(rows, "UID"), statement.codes(rows, "transfer syntax UID"), strict=True)
    assert sorted(pacs.contexts) == sorted((sop_class, [syntax]) for sop_class, syntax in listed)
    assert pacs.roles == {}
    assert str(pacs.max_pdu) == policy("largest PDU received", "DELIVER")
    for row in rows:
        assert row["abstract syntax"] == UID(statement.CODE.findall(row["UID"])[0]).name
        assert row["transfer syntax"] == UID(statement.CODE.findall(row["transfer syntax UID"])[0]).name


def test_the_doctor_proposes_verification_alone(pacs: RecordingArchive) -> None:
    dicom.echo(entity(pacs), "SCLEROSCAN")
    assert [sop_class for sop_class, _ in pacs.contexts] == [VERIFICATION]


def test_the_scheduler_proposes_find_alone(pacs: RecordingArchive) -> None:
    source = open_source(f"dicom://PACS@127.0.0.1:{pacs.port}", "SCLEROSCAN")
    assert source.number_of_instances("1.2.3", "1.2.3.4") == 1
    find = statement.table("3.9")[0]
    assert find["abstract syntax"].endswith("FIND")
    assert [[sop_class] for sop_class, _ in pacs.contexts] == [statement.CODE.findall(find["UID"])]
    assert str(pacs.max_pdu) == policy("largest PDU received", "QUERY")
    assert {element.keyword for element in pacs.queries[-1]} == {
        "QueryRetrieveLevel", "StudyInstanceUID", "SeriesInstanceUID", "NumberOfSeriesRelatedInstances",
    }  # fmt: skip


def test_a_pull_proposes_what_is_listed_in_its_roles(pacs: RecordingArchive, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    with pytest.raises(PeerAway):
        DimseArchive(entity(pacs), spool, "SCLEROSCAN").fetch(RetrieveRequest("1.2.3", None))
    every = statement.codes(statement.table("3.4"), "UID")
    words = {"all": every, "uncompressed": every[:4]}
    rows = statement.table("3.9")
    listed = {statement.CODE.findall(row["UID"])[0]: row for row in rows}
    proposed: dict[str, list[str]] = {}
    for sop_class, syntaxes in pacs.contexts:
        proposed.setdefault(sop_class, []).extend(syntaxes)
    assert proposed == {sop_class: words[row["transfer syntaxes"]] for sop_class, row in listed.items()}
    providers = {sop_class for sop_class, row in listed.items() if row["role"] == "SCP"}
    assert {sop_class: scp for sop_class, (_, scp) in pacs.roles.items()} == dict.fromkeys(providers, True)
    found, got = pacs.queries[-2:]
    assert (found.QueryRetrieveLevel, found.Modality, got.SeriesInstanceUID) == ("SERIES", "CT", "1.2.3.4")


def outcome(pacs: RecordingArchive, path: Path, status: int) -> str:
    """Let the archive answer a C-STORE with a status, and return what becomes of the delivery."""
    pacs.status = status
    try:
        (receipt,) = dicom.store([path], entity(pacs), "SCLEROSCAN")
    except PeerUnreachable:
        return "tried again"
    except PeerRefused:
        return "failed"
    finally:
        pacs.status = 0x0000
    assert receipt.status == status
    return "sent"


def listed_outcome(status: int) -> str:
    """Return what the statement says becomes of a delivery that is answered with a status."""
    for row in statement.tables("3.8")[1]:
        for first, last in re.findall(r"`(0x\w{4})`(?:–`(0x\w{4})`)?", row["status"]):
            if int(first, 16) <= status <= int(last or first, 16):
                return re.split("[,;]| with", row["delivery"])[0]
    (other,) = (row for row in statement.tables("3.8")[1] if row["status"] == "any other")
    return re.split("[,;]", other["delivery"])[0]


@pytest.mark.parametrize(
    "status",
    [
        0x0000, 0x0001, 0x0106, 0x0107, 0x0108, 0x0110, 0x0111, 0x0115, 0x0116, 0x0117, 0x0122, 0x0210, 0x0213,
        0xA6FF, 0xA700, 0xA7FF, 0xA800, 0xA900, 0xAFFF, 0xB000, 0xB007, 0xBFFF, 0xC000, 0xC211, 0xFE00,
    ],
    ids=lambda status: f"0x{status:04X}",
)  # fmt: skip
def test_a_status_decides_over_the_delivery_as_listed(pacs: RecordingArchive, produced: Produced, status: int) -> None:
    assert outcome(pacs, produced.paths["sr"], status) == listed_outcome(status)
