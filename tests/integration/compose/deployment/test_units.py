"""The units for systemd: it takes them without a word, they run what is there, and they may do little."""

import re
from pathlib import Path

import pytest

from compose import processes, settings
from tests.support import composed, units, words

LARGEST_EXPOSURE = 2.0
PARTS = {part.words for part in processes.of_site(True, True, True, True)}
OPTIONAL = {"scleroscan-web.service", "scleroscan-perform.service"}


def commands() -> list[list[str]]:
    return [value.split()[1:] for unit in units.files() for value in units.values(unit, "ExecStart")]


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    folder = units.copied(tmp_path)
    names = ["scleroscan.target", *(unit.name for unit in units.files())]
    verified = units.analysed(folder, "verify", *names)
    assert (verified.returncode, verified.stdout) == (0, "")
    # A slip of the pen would be told.
    slip = folder / "scleroscan-.service.d" / "all.conf"
    slip.write_text(slip.read_text().replace("NoNewPrivileges", "NoNewPrivilege"))
    assert "NoNewPrivilege" in units.analysed(folder, "verify", *names).stdout


@pytest.mark.parametrize("unit", units.files(), ids=lambda unit: unit.name)
def test_a_unit_may_do_little(tmp_path: Path, unit: Path) -> None:
    name = unit.name.replace("@.", "@1.")
    said = units.analysed(units.copied(tmp_path), "security", "--offline=true", "--no-pager", name).stdout
    (exposure,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert float(exposure) < LARGEST_EXPOSURE


def test_units_run_commands_and_name_settings_that_are_there() -> None:
    known = settings.setting_names()
    assert [one for one in commands() if words.fault_of(one)] == []
    for unit in units.files():
        named = {value.partition(":")[0] for value in units.values(unit, "LoadCredential")}
        named |= {value.partition("=")[0] for value in units.values(unit, "Environment")}
        assert named <= set(known), unit.name
    lines = (units.SYSTEMD / "scleroscan.env").read_text().splitlines()
    names = {line.partition("=")[0] for line in lines if not line.startswith("#")}
    assert names - {"MPLCONFIGDIR"} <= set(known)


def test_units_and_containers_are_the_parts_of_a_site() -> None:
    upgrade = ("db", "upgrade")
    assert {tuple(one) for one in commands()} == PARTS | {upgrade}
    assert {tuple(one["command"]) for one in composed.our_services().values()} == PARTS | {upgrade}


def test_the_target_wants_every_part() -> None:
    wanted = {name for line in units.values(units.SYSTEMD / "scleroscan.target", "Wants") for name in line.split()}
    parts = {unit.name.replace("@.", "@1.") for unit in units.files()} - {"scleroscan-migrate.service"} - OPTIONAL
    assert wanted == parts


@pytest.mark.parametrize("receiver", ["listen", "web"])
def test_what_receives_gets_no_secret_of_rows_or_queue(receiver: str) -> None:
    assert units.values(units.SYSTEMD / f"scleroscan-{receiver}.service", "LoadCredential") == []
