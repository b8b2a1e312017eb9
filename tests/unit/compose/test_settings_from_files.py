"""Settings may lie in files, each named as its variable: so containers and systemd hand over secrets."""

from pathlib import Path

import pytest

from compose import settings
from compose.errors import MisspeltSetting, UnusableSetting

URL = "postgresql://scleroscan:s3cret@rows.example/scleroscan"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "DB_URL").write_text(f"{URL}\n")
    (tmp_path / "MONITOR_TOKEN").write_text("0123456789abcdef")
    (tmp_path / "postgres_password").write_text("of another program")
    return tmp_path


def read(folder: Path) -> settings.SiteSettings:
    return settings.load({"SCLEROSCAN_SETTINGS_DIR": str(folder)})


def test_a_setting_is_read_from_the_file_of_its_name(folder: Path) -> None:
    site = read(folder)
    assert "s3cret@rows.example" in site.db_url
    assert site.monitor.token is not None
    assert site.monitor.token.get_secret_value() == "0123456789abcdef"
    assert site.worker.broker_url == "embedded"
    assert "s3cret" not in "".join(settings.setting_values(site).values())


def test_a_secret_as_kubernetes_mounts_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "..2026_11_28").mkdir()
    (tmp_path / "..2026_11_28" / "DB_URL").write_text(URL)
    (tmp_path / "..data").symlink_to("..2026_11_28")
    (tmp_path / "DB_URL").symlink_to("..data/DB_URL")
    assert "s3cret@rows.example" in read(tmp_path).db_url


def test_the_environment_counts_more_than_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_URL", "sqlite:///other.db")
    assert read(folder).db_url == "sqlite:///other.db"


def test_a_misspelt_file_is_refused_with_the_right_name(folder: Path) -> None:
    (folder / "WORKER_BROKERURL").write_text("redis://h")
    with pytest.raises(MisspeltSetting, match=r"WORKER_BROKERURL .*did you mean WORKER_BROKER_URL"):
        read(folder)


def test_a_secret_in_a_file_that_cannot_be_is_not_shown(folder: Path) -> None:
    (folder / "DB_URL").write_text("postgresql://me:s3cret@pw@host/db")
    with pytest.raises(UnusableSetting, match=r"DB_URL: ") as refused:
        read(folder)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("name", ["DB_URL", "absent"])
def test_a_folder_of_settings_that_is_none_is_named(folder: Path, name: str) -> None:
    with pytest.raises(UnusableSetting, match=f"SCLEROSCAN_SETTINGS_DIR={folder / name}"):
        read(folder / name)


def test_a_file_that_others_keep_from_us_is_named(folder: Path) -> None:
    (folder / "WORKER_BROKER_URL").mkdir()
    with pytest.raises(UnusableSetting, match="WORKER_BROKER_URL"):
        read(folder)
