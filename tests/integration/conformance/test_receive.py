"""The statement on RECEIVE beside the running listener: every class, syntax, rejection and status, both ways."""

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, UID_dictionary
from pynetdicom import build_context, build_role
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)

from dicom_node.commitment import provider
from dicom_node.commitment.event_report import COMMITMENT_CLASS, COMMITMENT_INSTANCE
from dicom_node.errors import ReceiveError
from dicom_node.scheduler import commitment_judge
from tests.support import services, statement
from tests.support.ct import TinyCT
from tests.support.listening import associate, listener
from worker.reading.pixels import decoders

CT, VERIFICATION = UID("1.2.840.10008.5.1.4.1.1.2"), UID("1.2.840.10008.1.1")
SITE = '[[peer]]\nae_title = "SCANNER"\nstorage_commitment = true\n[[peer]]\nae_title = "OTHER"\n'
TOO_MUCH_MB = 10**9
MOST_CONTEXTS = 128
CLASSES = [uid for uid, words in UID_dictionary.items() if words[1] == "SOP Class"]
SYNTAXES = [uid for uid, words in UID_dictionary.items() if words[1] == "Transfer Syntax"]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with listener(tmp_path_factory.mktemp("listener"), SITE) as one:
        yield one


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TinyCT(slices=1).write(tmp_path_factory.mktemp("ct"))[0]


def listed() -> dict[str, list[str]]:
    """The transfer syntaxes that the statement names for each abstract syntax."""
    every = statement.codes(statement.table("3.4"), "UID")
    words = {"all": every, "uncompressed": every[:4]}
    return {statement.CODE.findall(row["UID"])[0]: words[row["transfer syntaxes"]] for row in statement.table("3.3")}


def accepted_of(port: int, classes: list[str], calling: str) -> dict[str, int]:
    """Propose classes, 127 at a time beside Verification, and return the result of each (PS3.8 9.3.3.2)."""
    found: dict[str, int] = {}
    for start in range(0, len(classes), MOST_CONTEXTS - 1):
        proposed = dict.fromkeys((VERIFICATION, *classes[start : start + MOST_CONTEXTS - 1]))
        association = associate(port, [build_context(one) for one in list(proposed)[:MOST_CONTEXTS]], calling)
        assert association.is_established
        for context in (*association.accepted_contexts, *association.rejected_contexts):
            found[str(context.abstract_syntax)] = int(context.result or 0)
        association.release()
    return found


@pytest.mark.parametrize(("calling", "without"), [("SCANNER", set()), ("OTHER", {COMMITMENT_CLASS})])
def test_of_every_class_there_is_those_listed_are_taken(port: int, calling: str, without: set[str]) -> None:
    results = accepted_of(port, CLASSES, calling)
    assert len(results) > 300
    assert {uid for uid, result in results.items() if result == 0} == set(listed()) - without
    assert set(results.values()) == {0, 3}


@pytest.mark.parametrize("sop_class", listed(), ids=lambda uid: UID(uid).name)
def test_of_every_syntax_there_is_those_listed_are_taken(port: int, sop_class: str) -> None:
    association = associate(port, [build_context(sop_class, syntax) for syntax in SYNTAXES])
    taken = [str(context.transfer_syntax[0]) for context in association.accepted_contexts]
    refused = {context.result for context in association.rejected_contexts}
    association.release()
    assert sorted(taken) == sorted(listed()[sop_class])
    assert refused == {4}


def test_of_several_syntaxes_the_first_of_the_list_is_chosen(port: int) -> None:
    every = statement.codes(statement.table("3.4"), "UID")
    association = associate(port, [build_context(CT, every[:3:-1])])
    assert association.accepted_contexts[0].transfer_syntax == [every[4]]
    association.release()


def test_each_listed_name_is_the_one_of_its_uid() -> None:
    for section, column in (("3.3", "abstract syntax"), ("3.4", "transfer syntax"), ("3.9", "abstract syntax")):
        for row in statement.table(section):
            (uid,) = statement.CODE.findall(row["UID"])
            assert row[column] == UID(uid).name


def is_read(syntax: str) -> bool:
    """Whether the reader knows a syntax; what is no stream it finds damaged, or of no syntax that it reads."""
    if not UID(syntax).is_encapsulated:
        return True
    try:
        decoders.decode(b"", syntax, (1, 1))
    except NotImplementedError:
        return False
    except (ValueError, RuntimeError, IndexError, struct.error):
        return True
    raise AssertionError("no bytes were decoded")


def test_a_syntax_is_called_measured_where_a_decoder_reads_it() -> None:
    rows = statement.table("3.4")
    says = {statement.CODE.findall(row["UID"])[0]: row["measured"] for row in rows}
    assert says == {uid: "yes" if is_read(uid) else "no" for uid in says}


def test_extended_negotiation_is_answered_as_it_is_said(port: int) -> None:
    window, identity, extended = (
        AsynchronousOperationsWindowNegotiation(),
        UserIdentityNegotiation(),
        SOPClassExtendedNegotiation(),
    )
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 5
    identity.user_identity_type, identity.primary_field, identity.positive_response_requested = 1, b"me", True
    extended.sop_class_uid, extended.service_class_application_information = CT, b"\2\0\3\0\1\0"
    proposed = [build_role(CT, scu_role=True, scp_role=True), window, identity, extended]
    association = associate(port, [build_context(CT)], ext_neg=proposed)
    answer = association.acceptor
    association.release()
    assert association.accepted_contexts
    assert (answer.role_selection, answer.sop_class_extended, answer.user_identity) == ({}, {}, None)
    assert answer.asynchronous_operations == (1, 1)
    policies = {row["policy"]: statement.CODE.findall(row["RECEIVE"]) for row in statement.table("3.2")}
    assert policies["largest PDU received"][0] == str(answer.maximum_length)
    assert policies["implementation class UID"] == [str(answer.implementation_class_uid)]
    assert policies["implementation version name"] == [answer.implementation_version_name]


def rejection(association: Association) -> tuple[int, int, int]:
    assert association.is_rejected
    answer = association.acceptor.primitive
    return answer.result, answer.result_source, answer.diagnostic


def test_every_listed_rejection_is_given_and_no_other(port: int, tmp_path: Path) -> None:
    echo = [build_context(VERIFICATION)]
    given = {rejection(associate(port, echo, called="ANOTHER")), rejection(associate(port, echo, calling="STRANGER"))}
    with listener(tmp_path / "full", low_free_mb=TOO_MUCH_MB) as full:
        given.add(rejection(associate(full, echo)))
    with listener(tmp_path / "one", max_associations=1) as one:
        first = associate(one, echo)
        given.add(rejection(associate(one, echo)))
        first.release()
    columns = ("result", "source", "reason")
    rows = statement.table("3.5")
    assert given == {tuple(int(statement.CODE.findall(row[one])[0]) for one in columns) for row in rows}


def stored(port: int, dataset: Dataset | None, sop_class: str = CT, context_class: str = CT) -> int:
    """Send a data set as an instance of a class in a context of a class, and return the status."""
    association = associate(port, [build_context(context_class, ExplicitVRLittleEndian)])
    request = C_STORE()
    request.MessageID, request.Priority, request.AffectedSOPClassUID = 1, 2, sop_class
    request.AffectedSOPInstanceUID = dataset.SOPInstanceUID if dataset else "1.2.3"
    if dataset is not None:
        request.DataSet = BytesIO(encode(dataset, is_implicit_vr=False, is_little_endian=True) or b"")
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    _, answer = association.dimse.get_msg(block=True)
    association.release()
    return int(answer.Status)


def test_every_listed_status_of_a_store_is_given(port: int, image: Path, tmp_path: Path) -> None:
    whole, without_series, no_ct = dcmread(image), dcmread(image), dcmread(image)
    del without_series.SeriesInstanceUID
    no_ct["SOPClassUID"].value = "1.2.840.10008.5.1.4.1.1.4"
    given = [stored(port, one) for one in (whole, without_series, no_ct, None)]
    assert given == [0x0000, 0xC000, 0xA900, 0xC211]
    with listener(tmp_path / "full", min_free_mb=TOO_MUCH_MB) as full:
        given.append(stored(full, whole))
    says = {int(code, 16) for code in statement.codes(statement.table("3.6"), "status")}
    assert says == set(given)
    foreseen = {error.status for error in ReceiveError.__subclasses__()}
    assert foreseen <= says


def asked(association: Association, action: int = 1, instance: str = COMMITMENT_INSTANCE, uid: str = "1.2.9") -> int:
    wanted = Dataset()
    wanted.TransactionUID, item = "1.2.8", Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, uid
    wanted.ReferencedSOPSequence = [item] if uid else []
    status, _ = association.send_n_action(wanted, action, COMMITMENT_CLASS, instance)
    return int(status.Status)


def test_every_listed_status_of_a_commitment_is_given(tmp_path: Path) -> None:
    with listener(tmp_path / "node", SITE) as port:
        association = associate(port, [build_context(COMMITMENT_CLASS)])
        given = [
            asked(association),
            asked(association, instance="1.2.3"),
            asked(association, uid=""),
            asked(association, action=2),
        ]
        mailbox = tmp_path / "node" / "spool" / "commitments"
        services.wait_until(mailbox.is_dir, what="the first request on the disk")
        mailbox.rename(mailbox.with_name("away"))
        mailbox.touch()
        given.append(asked(association))
        association.abort()
    requests, failures = statement.tables("3.7")
    assert [int(code, 16) for code in statement.codes(requests, "status")] == given
    assert given == [
        provider.SUCCESS, provider.NO_SUCH_INSTANCE, provider.INVALID_ARGUMENT, provider.NO_SUCH_ACTION,
        provider.RESOURCE_LIMITATION,
    ]  # fmt: skip
    reasons = {int(code, 16) for code in statement.codes(failures, "failure reason")}
    judge = commitment_judge
    assert reasons == {judge.NO_SUCH_OBJECT, judge.CLASS_INSTANCE_CONFLICT, judge.PROCESSING_FAILURE}
