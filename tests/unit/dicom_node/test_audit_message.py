"""The XML of an audit message, whatever an image or a caller said."""

from datetime import UTC, datetime

import pytest
from lxml import etree

from dicom_node.audit_messages.message import CREATE, SUCCESS, AuditMessage, Code, Instances, Participant, Thing, xml

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("sign", ["\0", "\x1c", "\ufffe", "\uffff", "\ud800"])
def test_a_sign_that_no_xml_holds_is_replaced(sign: str) -> None:
    event, patient = Code("110104", "Transferred"), Code("2", "Patient Number")
    study = Thing(f"P{sign}1", patient, "1", "1", (Instances(1, f"1.2{sign}"),))
    sender = Participant(f"CT{sign}", True, None, f"CT{sign}", (f"host{sign}", "1"))
    document = etree.fromstring(xml(AuditMessage(event, CREATE, NOW, SUCCESS, [sender], [study]), "node"))
    assert document.find("ParticipantObjectIdentification").get("ParticipantObjectID") == "P\N{REPLACEMENT CHARACTER}1"
