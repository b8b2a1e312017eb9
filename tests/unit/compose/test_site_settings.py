"""Settings come from the environment, and a slip of the pen is found."""

import re
import tomllib

import pytest
from pydantic import ValidationError

from compose import settings
from compose.errors import MisspeltSetting
from dicom_node.site_file import SiteFile
from tests.support import REPOSITORY


def test_a_site_runs_without_any_setting() -> None:
    site = settings.load({})
    assert (site.node.ae_title, site.node.port, site.worker.broker_url) == ("SCLEROSCAN", 11112, "embedded")


def test_destinations_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_DESTINATIONS", '["dicom://A@h:104", "dicom://B@h:104"]')
    assert settings.load({}).worker.destinations == ("dicom://A@h:104", "dicom://B@h:104")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("DICOM_NODE_AETITLE", "DICOM_NODE_AE_TITLE"),
        ("WORKER_DESTINATION", "WORKER_DESTINATIONS"),
        ("DB_URI", "DB_URL"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_right_one(written: str, meant: str) -> None:
    with pytest.raises(MisspeltSetting, match=f"did you mean {meant}"):
        settings.load({written: "x"})


def test_a_name_of_another_program_is_left_alone() -> None:
    settings.load({"WORKER_THREADS_OF_SOMETHING_ELSE": "4"})


def test_a_value_out_of_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOM_NODE_PORT", "70000")
    with pytest.raises(ValidationError, match="port"):
        settings.load({})


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, description in settings.setting_names().items() if not description] == []


def test_the_password_of_the_database_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_URL", "postgresql+psycopg://me:secret@host/db")
    site = settings.load({})
    assert "secret" not in repr(site)
    assert "secret" in site.db_url


def test_every_setting_stands_in_the_reference() -> None:
    reference = (REPOSITORY / "docs" / "reference" / "settings.md").read_text()
    assert [name for name in settings.setting_names() if f"`{name}`" not in reference] == []


def test_the_site_file_of_the_reference_is_one() -> None:
    reference = (REPOSITORY / "docs" / "reference" / "site-file.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", reference, re.DOTALL)
    site = SiteFile.model_validate(tomllib.loads(example))
    assert [peer.ae_title for peer in site.peer] == ["CT1", "PACS"]
    assert [rule.name for rule in site.routing.rule] == ["research scanner", "chest CT"]
