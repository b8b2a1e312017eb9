"""Destinations as settings and site file name them: what each gets, and which lines make no sense."""

import re
import tomllib
from pathlib import Path

import pytest

from compose import settings as site_settings
from db.errors import BadAddress
from tests.support import REPOSITORY
from worker import destinations
from worker.results.profile import Profile, ReportClass, SegForm, class_of
from worker.settings import WorkerSettings

EVERYTHING = ("seg", "lungs", "sr", "page", "pdf", "key_images")
PACS, WEB = "dicom://PACS@10.0.0.5:104", "https://archive.example/dicom-web"


def of(folder: Path, text: str, *urls: str) -> tuple[destinations.Destination, ...]:
    (folder / "site.toml").write_text(text)
    return destinations.of(WorkerSettings(site_file=folder / "site.toml", destinations=urls))


def test_a_destination_without_a_profile_gets_everything() -> None:
    roles = {"seg": "disease seg", "lungs": "lungs seg", "sr": "sr"}
    assert destinations.recipients(WorkerSettings(destinations=(PACS,))) == ((PACS, EVERYTHING, roles),)


def test_the_settings_are_the_profile_of_who_has_none(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(f'[[destination]]\nurl = "{PACS}"\n[[destination]]\nurl = "mllp://h:1"\n')
    settings = WorkerSettings(site_file=tmp_path / "site.toml", one_seg=True, sr_class="enhanced")
    roles = {"seg": "seg", "sr": "enhanced sr with seg"}
    assert [one.roles for one in destinations.recipients(settings)] == [roles, roles]
    assert destinations.profiles(settings) == (Profile(SegForm.ONE, ReportClass.ENHANCED),)


@pytest.mark.parametrize(
    ("lines", "roles"),
    [
        ('seg = "labelmap"', ["disease seg, labelmap", "lungs seg, labelmap"]),
        ('seg = "labelmap"\ndeflated = true', ["disease seg, labelmap, deflated", "lungs seg, labelmap, deflated"]),
        ('segments = ["reticulation", "ground glass"]', ["disease seg, ground glass, reticulation"]),
        # The same object as without that line, whatever the order.
        ('segments = ["reticulation", "consolidation", "ground glass"]', ["disease seg"]),
        ('segments = ["left lung"]\nseg = "one"', ["lungs seg, left lung"]),
        ('segments = ["left lung", "reticulation"]\nseg = "one"', ["seg, reticulation, left lung"]),
    ],
)
def test_a_role_says_what_differs(tmp_path: Path, lines: str, roles: list[str]) -> None:
    (one,) = of(tmp_path, f'[[destination]]\nurl = "{PACS}"\n{lines}\n')
    profile = one.profile(WorkerSettings())
    assert [part.role for part in profile.parts] == roles
    assert (profile.report_role == "sr") == (roles == ["disease seg", "lungs seg"])


def test_each_profile_is_made_once_that_of_the_site_first(tmp_path: Path) -> None:
    lines = ('sr_class = "enhanced"', 'sr_class = "comprehensive3d"', 'seg = "one"', 'sr_class = "enhanced"')
    described = (f'[[destination]]\nurl = "dicom://A{number}@h:104"\n{line}\n' for number, line in enumerate(lines))
    (tmp_path / "site.toml").write_text("".join(described))
    enhanced = Profile(report_class=ReportClass.ENHANCED)
    made = destinations.profiles(WorkerSettings(site_file=tmp_path / "site.toml"))
    assert made == (Profile(), enhanced, Profile(SegForm.ONE))
    assert len({one.report_role for one in made}) == 3
    assert [class_of(one.report_role) for one in made] == [one.report_class for one in made]


def test_the_site_file_says_what_each_gets(tmp_path: Path) -> None:
    text = f'[[destination]]\nurl = "{PACS}"\nobjects = ["sr"]\n[[destination]]\nurl = "{WEB}/"\n'
    found = of(tmp_path, text, PACS, "dicom://OTHER@h:104")
    assert [(one.url, one.objects) for one in found] == [
        (PACS, ("sr",)),
        (WEB, EVERYTHING),
        ("dicom://OTHER@h:104", EVERYTHING),
    ]


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ('url = "PACS@h:104"', "no DICOM address"),
        ('url = "https://me:secret@h/dicom-web"', "a login has its own lines"),
        (f'url = "{PACS}"\nobjects = ["picture"]', "picture is none of seg, lungs, sr"),
        (f'url = "{PACS}"\nobjects = ["x-ray"]', "x-ray is none of"),
        (f'url = "{PACS}"\nobjects = []', "objects"),
        (f'url = "{PACS}"\nproof = "hope"', "hope is none of"),
        (f'url = "{PACS}"\ntoken_file = "t"', "is for https"),
        (f'url = "{PACS}"\ntls_ca = "c"', "takes tls_ca"),
        ('url = "dicom+tls://PACS@h:104"\nuser = "u"\npassword_file = "p"', "is for https"),
        ('url = "dicom+tls://PACS@h:104"\ntls_key = "k"', "belong together"),
        (f'url = "{WEB}"\ntoken_file = "t"\nuser = "u"\npassword_file = "p"', "one login is enough"),
        (f'url = "{WEB}"\nuser = "u"', "belong together"),
        (f'url = "{WEB}"\ntls_cert = "c"', "belong together"),
        ('url = "http://archive.example/dicom-web"\ntoken_file = "t"', "needs https"),
        ('url = "mllp://127.0.0.1:1"\nsr_class = "enhanced"', "for archives"),
        ('url = "fhir+https://h/fhir"\nseg = "one"', "for archives"),
        ('url = "mllp://127.0.0.1:1"\nmax_frames = 3', "for archives"),
        ('url = "mllp://127.0.0.1:1"\nsegments = ["reticulation"]', "for archives"),
        (f'url = "{PACS}"\nsegments = []', "segments"),
        (f'url = "{PACS}"\nsegments = ["heart"]', "heart is none of"),
        (f'url = "{PACS}"\nmax_frames = 0', "max_frames"),
        (f'url = "{PACS}"\nseg = "surface"', "surface is none of"),
        (f'url = "{PACS}"\nsr_class = "basic"', "basic is none of"),
        (f'url = "{WEB}"\ntokenfile = "t"', "nothing of this name"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(tmp_path: Path, lines: str, named: str) -> None:
    with pytest.raises(BadAddress, match=named) as refused:
        of(tmp_path, f"[[destination]]\n{lines}\n")
    assert "secret" not in str(refused.value)


def test_one_site_file_serves_node_and_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site.toml").write_text(f'[[destination]]\nurl = "{PACS}"\n[routing]\notherwise = "skip"\n')
    monkeypatch.setenv("DICOM_NODE_SITE_FILE", str(tmp_path / "site.toml"))
    assert [one.url for one in destinations.of(site_settings.load({}).worker)] == [PACS]


def test_the_destinations_of_the_reference_are_some(tmp_path: Path) -> None:
    reference = (REPOSITORY / "docs" / "reference" / "site-file.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", reference, re.DOTALL)
    assert tomllib.loads(example)["destination"]
    assert [one.objects for one in of(tmp_path, example)] == [("seg", "lungs", "sr"), EVERYTHING, ("sr",)]
