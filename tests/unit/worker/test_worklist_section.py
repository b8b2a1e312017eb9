"""The section of the worklist: off where it is absent, and strict where it is there."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydicom import Dataset
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr.codedict import codes

from db.errors import BadAddress
from dicom_node import site_file
from tests.support import REPOSITORY
from tests.support.workitems import coded, series_named, workitem
from worker import destinations
from worker.settings import WorkerSettings
from worker.worklist import item, reasons
from worker.worklist_section import Code, Worklist

URL = "https://ris.example/dicom-web"


def test_without_the_section_there_is_no_worklist(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('[routing]\notherwise = "skip"\n')
    assert destinations.worklist(WorkerSettings(site_file=tmp_path / "site.toml")) is None
    assert destinations.worklist(WorkerSettings()) is None


def test_the_node_passes_it_over(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(f'[worklist]\nurl = "{URL}/workitems"\nlabel = "AI"\n')
    site_file.load(tmp_path / "site.toml")
    found = destinations.worklist(WorkerSettings(site_file=tmp_path / "site.toml"))
    assert found is not None
    assert found.url == URL
    assert (found.poll_s, found.at_once, found.patience_s, found.fetch) == (30, 8, 3600, True)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({}, "which items are ours"),
        ({"label": "AI", "url": "dicom://RIS@10.0.0.1:104"}, "base URL of a UPS-RS service"),
        ({"label": "AI", "url": "https://me:secret@ris.example"}, "base URL of a UPS-RS service"),
        ({"label": "AI", "url": "http://ris.example", "token_file": "t"}, "needs https"),
        ({"label": "AI", "token_file": "t", "user": "u", "password_file": "p"}, "one login is enough"),
        ({"label": "AI", "user": "u"}, "belong together"),
        ({"label": "AI", "tls_cert": "c"}, "belong together"),
        ({"label": "AI", "poll_s": 0}, "greater than or equal to 1"),
        ({"lable": "AI"}, "Extra inputs"),
    ],
)
def test_a_slip_is_named(lines: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Worklist.model_validate({"url": URL} | lines)


def test_a_slip_in_the_file_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(f'[worklist]\nurl = "{URL}"\nlable = "AI"\n')
    with pytest.raises(BadAddress, match=r"worklist\.lable"):
        destinations.worklist(WorkerSettings(site_file=tmp_path / "site.toml"))


def test_what_an_item_names_is_read() -> None:
    one = series_named(
        "1.2", "1.2.3", ["1.2.3.4"], RetrieveAETitle="PACS", RetrieveURL="https://pacs.example/studies/1.2"
    )
    work = item.asked_work("2.25.7", workitem(one), URL)
    (named,) = item.inputs_of(work.asked)
    assert (named.study_uid, named.series_uid, named.sop_uids) == ("1.2", "1.2.3", ("1.2.3.4",))
    assert named.places == ("PACS", "https://pacs.example/studies/1.2")
    assert (work.requester, work.order_number, work.asked["workitem"]["value"]) == ("PNEUMOLOGY", "ORDER-7", "ILD")


def test_an_item_that_makes_no_sense_is_no_item() -> None:
    broken = workitem(series_named("1.2", "1.2.3", []), ScheduledWorkitemCodeSequence=[Dataset()])
    with pytest.raises(ValueError, match="CodeValue"):
        item.asked_work("2.25.7", broken, URL)
    with pytest.raises(ValueError, match="not subscriptable"):
        item.datasets(b'[{"00080018": 7}]')
    assert item.uid_of(workitem(SOPInstanceUID="")) is None


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
def test_a_uid_that_is_a_path_stands_in_no_url() -> None:
    (one,) = item.datasets(b'[{"00080018": {"vr": "UI", "Value": ["../secrets"]}}]')
    assert item.uid_of(one) is None


def test_a_code_is_compared_with_its_scheme() -> None:
    worklist = Worklist(url=URL, workitem=Code(value="ILD", scheme="99SITE", meaning="x"))
    assert item.is_ours(workitem(), worklist)
    assert not item.is_ours(workitem(ScheduledWorkitemCodeSequence=[coded("ILD", "99OTHER")]), worklist)


def test_reasons_are_of_the_standards_list() -> None:
    known = {(code.value, code.meaning) for name in cid_concepts[9300]["DCM"] for code in [getattr(codes.DCM, name)]}
    ours = (*reasons.CODES, reasons.UNSPECIFIED)
    assert {(one.value, one.meaning) for one in ours} <= known


def test_every_refusal_has_a_reason() -> None:
    page = (REPOSITORY / "docs" / "reference" / "refusal-codes.md").read_text(encoding="utf-8")
    refusals = re.findall(r"^\| `(\w+)` \|", page.split("## What is read")[0], re.MULTILINE)
    assert len(refusals) > 20
    assert [code for code in refusals if reasons.of(code) == reasons.UNSPECIFIED] == []
