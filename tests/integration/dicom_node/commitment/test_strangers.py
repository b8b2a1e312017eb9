"""A caller that is not let in asks for storage commitment: it is rejected, and nothing else is done with it."""

from pathlib import Path

import pytest
from pynetdicom import AE

from dicom_node.commitment.event_report import COMMITMENT_CLASS
from dicom_node.commitment.mailbox import Mailbox
from dicom_node.commitment.provider import CommitmentProvider
from dicom_node.scp.access_control import AccessControl, Peer
from dicom_node.scp.listener import Address, Listener, Security
from dicom_node.spool.folder import Spool


def test_no_handler_raises_for_a_rejected_stranger(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    access = AccessControl("SCLEROSCAN", (Peer(ae_title="SCANNER", addresses=("127.0.0.0/8",)),))
    provider = CommitmentProvider(Mailbox(Spool(tmp_path)), (), access.may_ask_for_commitment)
    stranger = AE("STRANGER")
    stranger.add_requested_context(COMMITMENT_CLASS)
    address = Address("SCLEROSCAN", "127.0.0.1", 0)
    with Listener(address, provider.handlers(), [COMMITMENT_CLASS], Security(access)) as listener:
        assert stranger.associate("127.0.0.1", listener.port, ae_title="SCLEROSCAN").is_rejected
    assert "association rejected" in [record.getMessage() for record in caplog.records]
    # Where a handler raises, pynetdicom logs it; that it was rejected, the caller logs as an error of its own.
    assert [record.getMessage() for record in caplog.records if record.name == "pynetdicom.events"] == []
