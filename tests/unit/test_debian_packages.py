"""Every program of Debian that a test asks for is known by its package, which `make test` installs."""

import re

import pytest

from tests.support import REPOSITORY, services

ASKED = re.compile(r'\b(?:program|library)\(\s*"([^"]+)"')


def test_every_program_a_test_asks_for_has_its_package() -> None:
    tests = [*(REPOSITORY / "tests").rglob("*.py")]
    by_make_acceptance = {"chromium"}
    asked = {name for path in tests for name in ASKED.findall(path.read_text(encoding="utf-8"))}
    assert {"storescu", "rsyslogd", "lmnsd_ossl.so"} <= asked
    assert asked - by_make_acceptance == set(services.DEBIAN)


def test_make_test_installs_every_package_that_tests_use() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    installed = re.findall(r"^SERVICES := (.*)$", makefile, re.MULTILINE)[0].split()
    assert sorted(installed) == sorted(set(services.DEBIAN.values()))


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_what_is_absent_skips_at_home_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(services, "SYSTEM_FOLDERS", [])
    monkeypatch.setattr(services, "LIBRARY_FOLDERS", [])
    for asked, install in (
        (lambda: services.program("rsyslogd"), "apt-get install rsyslog$"),
        (lambda: services.library("lmnsd_ossl.so"), "apt-get install rsyslog-openssl$"),
        (lambda: services.library("libOrthancDicomWeb.so"), "apt-get install orthanc-dicomweb$"),
    ):
        with pytest.raises(outcome, match=install):
            asked()
