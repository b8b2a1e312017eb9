"""What a site is told by files is checked before any part of it starts."""

from pathlib import Path
from typing import Any

import pytest

from compose import preflight
from compose.settings import SiteSettings
from db.settings import DbSettings
from dicom_node.errors import BadSetting, NodeError
from dicom_node.settings import NodeSettings
from worker.errors import PeerUnreachable, WeightsMismatch
from worker.settings import WorkerSettings


def site(worker: dict[str, Any] | None = None, **node: Any) -> SiteSettings:
    return SiteSettings(DbSettings(), NodeSettings(**node), WorkerSettings(**(worker or {})))


def test_a_site_without_any_setting_is_usable() -> None:
    preflight.require_usable(site())


@pytest.mark.parametrize(
    ("slip", "named"),
    [
        ({"site_file": "none.toml"}, "none.toml"),
        ({"tls_cert": "none.pem"}, "all three"),
        ({"tls_cert": "none.pem", "tls_key": "none.pem", "tls_client_ca": "none.pem"}, "DICOM_NODE_TLS_CERT"),
        ({"web_port": 8080}, "DICOM_NODE_WEB_TOKEN"),
    ],
)
def test_a_slip_of_the_node_is_named(slip: dict[str, Any], named: str) -> None:
    with pytest.raises(NodeError, match=named):
        preflight.require_usable(site(**slip))


def test_a_slip_in_the_site_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text("[[peer]]\nae_titel = 'CT1'\n")
    with pytest.raises(BadSetting, match="ae_titel"):
        preflight.require_usable(site(site_file=tmp_path / "site.toml"))


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMismatch, match="gone"):
        preflight.require_usable(site({"weights": tmp_path / "gone.safetensors"}))


def test_a_login_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('[[destination]]\nurl = "https://a.example/dicom-web"\ntoken_file = "/none"\n')
    with pytest.raises(PeerUnreachable, match="/none cannot be read"):
        preflight.require_usable(site({"site_file": tmp_path / "site.toml"}))
