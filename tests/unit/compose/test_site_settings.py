"""Settings come from the environment, and a slip of the pen is found."""

import re
import tomllib

import pytest
from sqlalchemy import make_url

from compose import settings
from compose.errors import MisspeltSetting, UnusableSetting
from dicom_node.site_file import SiteFile
from tests.support import REPOSITORY


def test_a_site_runs_without_any_setting() -> None:
    site = settings.load({})
    assert (site.node.ae_title, site.node.port, site.worker.broker_url) == ("SCLEROSCAN", 11112, "embedded")


@pytest.mark.parametrize(
    "written",
    [
        '["dicom://A@h:104", "dicom://B@h:104"]',
        "dicom://A@h:104,dicom://B@h:104",
        " dicom://A@h:104 , dicom://B@h:104,",
    ],
)
def test_destinations_are_a_list_by_json_or_by_commas(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("WORKER_DESTINATIONS", written)
    assert settings.load({}).worker.destinations == ("dicom://A@h:104", "dicom://B@h:104")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("DICOM_NODE_AETITLE", "DICOM_NODE_AE_TITLE"),
        ("WORKER_DESTINATION", "WORKER_DESTINATIONS"),
        ("DB_URI", "DB_URL"),
        ("SCLEROSCAN_LOGFORMAT", "SCLEROSCAN_LOG_FORMAT"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_right_one(written: str, meant: str) -> None:
    with pytest.raises(MisspeltSetting, match=f"did you mean {meant}"):
        settings.load({written: "x"})


def test_a_name_of_another_program_is_left_alone() -> None:
    settings.load({"WORKER_THREADS_OF_SOMETHING_ELSE": "4"})


UNUSABLE = [
    ("DICOM_NODE_PORT", "abc", "abc is no whole number", "DICOM_NODE_PORT=11112"),
    ("DICOM_NODE_PORT", "70000", "70000 is more than 65535", "DICOM_NODE_PORT=11112"),
    ("DICOM_NODE_QUIET_S", "soon", "soon is no number", "DICOM_NODE_QUIET_S=30.0"),
    ("DICOM_NODE_QUIET_S", "inf", "inf is more than 3600", "DICOM_NODE_QUIET_S=30.0"),
    ("DICOM_NODE_ANY_CALLED_AE", "maybe", "maybe is neither true nor false", "DICOM_NODE_ANY_CALLED_AE=false"),
    ("DICOM_NODE_AE_TITLE", "A" * 17, "has more than 16 characters", "DICOM_NODE_AE_TITLE=SCLEROSCAN"),
    ("DICOM_NODE_AE_TITLE", "A\\B", "is not of the form wanted", "DICOM_NODE_AE_TITLE=SCLEROSCAN"),
    ("DICOM_NODE_SOURCE", "PACS", "PACS is no source", "DICOM_NODE_SOURCE=dicom://PACS@10.0.0.5:104"),
    ("WORKER_DEVICE", "gpu", "is not of the form wanted", "WORKER_DEVICE=auto"),
    ("WORKER_DESTINATIONS", "PACS@h:104", "PACS@h:104 is no DICOM", "WORKER_DESTINATIONS=dicom://PACS@10.0.0.5:104"),
    ("WORKER_DESTINATIONS", '["dicom://A@h:104"', "is no JSON list", "WORKER_DESTINATIONS=dicom://PACS@10.0.0.5:104"),
    ("WORKER_BROKER_URL", "embeded", "embeded is no broker", "WORKER_BROKER_URL=redis://10.0.0.5:6379/0"),
    ("WORKER_BROKER_URL", "redi://h", "redi://h is no broker", "WORKER_BROKER_URL=redis://10.0.0.5:6379/0"),
    ("WORKER_BROKER_URL", "redis://h:x", "redis://h:x is no broker", "WORKER_BROKER_URL=redis://10.0.0.5:6379/0"),
    ("DB_URL", "postgresql://me:p@ss@host/db", "%40", "DB_URL=postgresql://"),
    ("DB_URL", "postgresql://me:p@ss/word@host/db", "%40", "DB_URL=postgresql://"),
    ("DB_URL", "postgresql://me:ss@host:x/db", "the port is no number", "DB_URL=postgresql://"),
    ("DB_URL", "mysql://me:ss@host/db", "mysql is no database", "DB_URL=postgresql://"),
    ("DB_URL", "postgresql+asyncpg://me:ss@host/db", "postgresql+asyncpg is no database", "DB_URL=postgresql://"),
    ("DB_URL", "", "no URL", "DB_URL=postgresql://"),
]


@pytest.mark.parametrize(("name", "value", "fault", "right"), UNUSABLE)
def test_a_value_that_cannot_be_is_named_with_a_right_one(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, fault: str, right: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UnusableSetting) as refused:
        settings.load({})
    said = str(refused.value)
    assert said.startswith(f"{name}: ")
    assert fault in said
    assert right in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DICOM_NODE_WEB_TOKEN", "s3cret"),
        ("WORKER_BROKER_URL", "redi://me:s3cret@h"),
        ("DICOM_NODE_SOURCE", "ftp://s3cret@h"),
        ("DB_URL", "postgresql://me:s3cret@pw@host/db"),
        ("DB_URL", "s3cret"),
    ],
)
def test_a_secret_that_cannot_be_is_not_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UnusableSetting, match=f"{name}: ") as refused:
        settings.load({})
    assert "s3cret" not in str(refused.value)


def test_all_faults_of_all_packages_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DICOM_NODE_PORT", "WORKER_LEASE_S", "DB_URL"):
        monkeypatch.setenv(name, "abc")
    with pytest.raises(UnusableSetting, match=r"DB_URL: .*; DICOM_NODE_PORT: .*; WORKER_LEASE_S: "):
        settings.load({})


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgres_is_spoken_by_psycopg_however_it_is_named(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DB_URL", f"{scheme}://me:p%40s:s/w@host:5432/db?sslmode=require")
    url = make_url(settings.load({}).db_url)
    assert (url.drivername, url.password, url.host) == ("postgresql+psycopg", "p@s:s/w", "host")
    assert url.query == {"sslmode": "require"}


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
    assert [rule.name for rule in site.routing.rule] == [
        "research scanner",
        "chest CT by its body part",
        "chest CT by its description",
    ]
