"""The settings of the node: bounded, described, and frozen."""

import pytest
from pydantic import ValidationError

from dicom_node import listening
from dicom_node.settings import NodeSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AE_TITLE", ""),
        ("AE_TITLE", "SEVENTEEN_LETTERS"),
        ("PORT", "65536"),
        ("QUIET_S", "0"),
        ("GAP_WAIT_S", "-1"),
        ("MAX_ASSOCIATIONS", "0"),
        ("REQUEST_TIMEOUT_S", "0"),
        ("MIN_FREE_MB", "-1"),
        ("LOW_FREE_MB", "-1"),
        ("RECEIVERS", "0"),
        ("RETENTION_DAYS", "-1"),
    ],
)
def test_a_value_out_of_bounds_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"DICOM_NODE_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        NodeSettings()


def test_the_environment_reaches_the_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AE_TITLE": "SITE", "PORT": "0", "NETWORK_TIMEOUT_S": "7", "REQUEST_TIMEOUT_S": "3"}.items():
        monkeypatch.setenv(f"DICOM_NODE_{name}", value)
    address = listening.address(NodeSettings(), "127.0.0.1")
    assert (address.ae_title, address.port) == ("SITE", 0)
    assert (address.network_timeout_s, address.request_timeout_s) == (7.0, 3.0)


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in NodeSettings.model_fields.items() if not field.description] == []
