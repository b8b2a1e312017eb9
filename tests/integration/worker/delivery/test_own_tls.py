"""Two archives of two authorities, DCMTK's: each is called with the TLS files that its destination names."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from db.tls_profile import TlsFiles
from tests.integration.dicom_node.test_calls_by_tls import issued
from tests.integration.worker.delivery.test_delivery import NO_PAGES
from tests.support import services
from worker import destinations
from worker.delivery.archive import Archives
from worker.errors import PeerRefused, PeerUnreachable
from worker.results import files
from worker.settings import WorkerSettings


@contextmanager
def storescp(folder: Path, tls: TlsFiles) -> Iterator[str]:
    """Run DCMTK's storescp, which asks for a certificate of its authority; yields its address."""
    port, taken = services.free_port(), folder / "taken"
    taken.mkdir()
    command = [services.program("storescp"), "-od", str(taken), "-xf", str(_classes(folder)), "Results"]
    secure = ["+tls", str(tls.key), str(tls.certificate), "+cf", str(tls.authority), str(port)]
    with services.running([*command, *secure], folder / "storescp.log"):
        services.wait_until(lambda: services.port_answers(port), what="storescp")
        yield f"dicom+tls://PACS@127.0.0.1:{port}"


def _classes(folder: Path) -> Path:
    path = folder / "storescp.cfg"
    path.write_text(NO_PAGES)
    return path


def described(url: str, tls: TlsFiles) -> str:
    """Return a destination of the site file with TLS files of its own."""
    lines = (f'tls_ca = "{tls.authority}"', f'tls_cert = "{tls.certificate}"', f'tls_key = "{tls.key}"')
    return "\n".join(("[[destination]]", f'url = "{url}"', *lines, ""))


@pytest.fixture
def authorities(tmp_path: Path) -> tuple[TlsFiles, TlsFiles]:
    """Files of two authorities that know nothing of each other."""
    first, second = (issued(tmp_path / name, trustme.CA()) for name in ("first", "second"))
    return first, second


def site_wide(tls: TlsFiles) -> dict[str, Path]:
    return {"tls_cert": tls.certificate, "tls_key": tls.key, "tls_ca": tls.authority}


def test_each_archive_is_called_with_its_own_files(
    tmp_path: Path, authorities: tuple[TlsFiles, TlsFiles], objects: list[files.WrittenFile]
) -> None:
    first, second = authorities
    with storescp(tmp_path / "first", first) as one, storescp(tmp_path / "second", second) as other:
        (tmp_path / "site.toml").write_text(described(one, first) + described(other, second))
        archives = Archives(WorkerSettings(site_file=tmp_path / "site.toml"))
        assert [archives.at(url).store(objects[0].path) for url in (one, other)] == [0, 0]
    assert [len(list((tmp_path / name / "taken").iterdir())) for name in ("first", "second")] == [1, 1]


def test_the_files_of_the_settings_serve_the_others(
    tmp_path: Path, authorities: tuple[TlsFiles, TlsFiles], objects: list[files.WrittenFile]
) -> None:
    first, second = authorities
    with storescp(tmp_path / "first", first) as one, storescp(tmp_path / "second", second) as other:
        (tmp_path / "site.toml").write_text(described(one, first))
        settings = WorkerSettings(site_file=tmp_path / "site.toml", destinations=(other,), **site_wide(second))
        archives = Archives(settings)
        assert [archives.at(url).store(objects[0].path) for url in (one, other)] == [0, 0]


def test_a_certificate_of_ours_may_go_with_another_authority(
    tmp_path: Path, authorities: tuple[TlsFiles, TlsFiles], objects: list[files.WrittenFile]
) -> None:
    first, second = authorities
    with storescp(tmp_path / "first", first) as one:
        (tmp_path / "site.toml").write_text(f'[[destination]]\nurl = "{one}"\ntls_ca = "{first.authority}"\n')
        mixed = site_wide(first) | {"tls_ca": second.authority}
        archives = Archives(WorkerSettings(site_file=tmp_path / "site.toml", **mixed))
        assert archives.at(one).store(objects[0].path) == 0


def test_the_files_of_another_archive_are_refused(
    tmp_path: Path, authorities: tuple[TlsFiles, TlsFiles], objects: list[files.WrittenFile]
) -> None:
    first, second = authorities
    with storescp(tmp_path / "first", first) as one:
        (tmp_path / "site.toml").write_text(described(one, second))
        settings = WorkerSettings(site_file=tmp_path / "site.toml", **site_wide(first))
        with pytest.raises(PeerUnreachable) as failed:
            Archives(settings).at(one).store(objects[0].path)
    assert failed.value.code == "tls_failed"
    assert list((tmp_path / "first" / "taken").iterdir()) == []


def test_half_of_the_files_is_no_address(tmp_path: Path, authorities: tuple[TlsFiles, TlsFiles]) -> None:
    url = "dicom+tls://PACS@127.0.0.1:104"
    (tmp_path / "site.toml").write_text(f'[[destination]]\nurl = "{url}"\ntls_ca = "{authorities[0].authority}"\n')
    settings = WorkerSettings(site_file=tmp_path / "site.toml")
    assert [one.url for one in destinations.of(settings)] == [url]
    with pytest.raises(PeerRefused, match="certificate of ours"):
        Archives(settings).at(url).ask()
