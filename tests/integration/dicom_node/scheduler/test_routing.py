"""Routing through the whole node, and explained by the command on real folders."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker
from typer.testing import CliRunner

from compose import command_line
from db.tables import Job
from tests.support import node_service, services
from tests.support.node_senders import ROOT, association, ct_slice, encoded, send, series_uid


def series(number: int, slices: int = 12, **changes: object) -> list[Dataset]:
    """A series of the one study of these tests, with some attributes of its own."""
    images = [ct_slice(index, number) for index in range(slices)]
    for ds in images:
        for keyword, value in changes.items():
            setattr(ds, keyword, value)
    return images


def store(port: int, images: list[Dataset]) -> None:
    with association(port) as opened:
        assert {send(opened, encoded(ds), ds.SOPInstanceUID) for ds in images} == {0x0000}


def test_a_series_left_out_by_a_rule_is_skipped_with_the_rule(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with node_service.running(tmp_path, sessions, site_file=None) as node:
        store(node.port, series(1, BodyPartExamined="HEAD"))
        row = node.wait_until_closed(series_uid(1))
        assert (row.state, row.code, row.detail["rule"]) == ("skipped", "not_eligible", "other body parts")
        assert node.jobs(series_uid(1)) == []
        event = node.trail(series_uid(1))[-1]
        assert (event["to_state"], event["code"], event["detail"]["rule"]) == (
            "skipped",
            "not_eligible",
            "other body parts",
        )
        status = node.status(series_uid(1))
        assert status is not None
        assert (status.state, status.code) == ("skipped", "not_eligible")


def test_site_file_rules_replace_the_defaults_and_see_calling_ae(
    tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    path = tmp_path / "site.toml"
    rule = 'name = "research scanner"\naction = "skip"\ncalling_ae = ["SCAN*"]'
    path.write_text(f"[[routing.rule]]\n{rule}\n")
    with node_service.running(tmp_path, sessions, site_file=path) as node:
        store(node.port, series(1))
        row = node.wait_until_closed(series_uid(1))
    assert (row.state, row.detail["rule"]) == ("skipped", "research scanner")


def test_of_three_reconstructions_the_thin_lung_one_is_measured(
    tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    images = [
        *series(1, SliceThickness="5", ConvolutionKernel="B70f"),
        *series(2, SliceThickness="1", ConvolutionKernel="B30f"),
        *series(3, SliceThickness="1", ConvolutionKernel="B70f"),
    ]
    with node_service.running(tmp_path, sessions, site_file=None) as node:
        store(node.port, images)
        rows = [node.wait_until_closed(series_uid(number)) for number in (1, 2, 3)]
        assert [row.state for row in rows] == ["skipped", "skipped", "complete"]
        assert [row.code for row in rows[:2]] == ["better_reconstruction"] * 2
        assert [row.detail["by"] for row in rows[:2]] == ["thickness", "kernel"]
        assert {row.detail["chosen"] for row in rows[:2]} == {series_uid(3)}
        assert node.jobs(series_uid(3)) == ["queued"]


def test_all_reconstructions_are_measured_if_the_site_wants_it(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    path = tmp_path / "site.toml"
    path.write_text('[routing.choice]\nmeasure = "all"\n')
    with node_service.running(tmp_path, sessions, site_file=path) as node:
        store(node.port, [*series(1, SliceThickness="5"), *series(2, SliceThickness="1")])
        assert {node.wait_until_closed(series_uid(number)).state for number in (1, 2)} == {"complete"}


def test_a_series_waits_for_another_of_its_study_still_arriving(
    tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    with node_service.running(tmp_path, sessions, site_file=None, quiet_s=0.5, study_wait_s=120.0) as node:
        with association(node.port) as opened:
            thin = series(2, SliceThickness="1")
            assert send(opened, encoded(thin[0]), thin[0].SOPInstanceUID) == 0x0000
            store(node.port, series(1, SliceThickness="5"))
            # A series of another study, sent later, is closed first: so the waiting one could have been.
            store(node.port, series(3, StudyInstanceUID=f"{ROOT}.9"))
            node.wait_until_closed(series_uid(3))
            waiting = node.series(series_uid(1))
            assert waiting is not None
            assert waiting.state == "receiving"
            for ds in thin[1:]:
                assert send(opened, encoded(ds), ds.SOPInstanceUID) == 0x0000
        states = [node.wait_until_closed(series_uid(number)).state for number in (1, 2)]
    assert states == ["skipped", "complete"]


def test_a_worse_reconstruction_that_comes_later_is_skipped(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    with node_service.running(tmp_path, sessions, site_file=None, quiet_s=0.5) as node:
        store(node.port, series(1, SliceThickness="1"))
        assert node.wait_until_closed(series_uid(1)).state == "complete"
        store(node.port, series(2, SliceThickness="5"))
        assert node.wait_until_closed(series_uid(2)).detail["chosen"] == series_uid(1)


def test_when_the_chosen_series_is_rejected_the_next_is_measured(
    tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    with node_service.running(tmp_path, sessions, site_file=None, quiet_s=0.5) as node:
        images = [series(number, SliceThickness=str(number)) for number in (1, 2, 3)]
        store(node.port, [ds for one in images for ds in one])
        assert [node.wait_until_closed(series_uid(n)).state for n in (1, 2, 3)] == ["complete", "skipped", "skipped"]
        with sessions.begin() as session:
            session.execute(update(Job).values(state="rejected"))
        services.wait_until(lambda: node.jobs(series_uid(2)) == ["queued"], 60, "the next best")
        third = node.wait_until_closed(series_uid(3))
        services.wait_until(lambda: chosen_of(node, 3) == series_uid(2), 60, "the third set aside for the second")
        assert third.state in {"skipped", "receiving"}
        with sessions.begin() as session:
            assert sorted(session.scalars(select(Job.series_uid))) == [series_uid(1), series_uid(2)]


def chosen_of(node: node_service.RunningNode, number: int) -> str | None:
    row = node.series(series_uid(number))
    return str(row.detail.get("chosen")) if row is not None and row.state == "skipped" else None


def route(folder: Path, *options: str) -> dict[str, dict[str, Any]]:
    """What `scleroscan route` says of each series of a folder."""
    done = CliRunner().invoke(command_line.app, ["route", str(folder), "--json", *options])
    assert done.exit_code == 0, done.output
    return {one["series_uid"]: one for one in json.loads(done.stdout)["series"]}


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("lidc-0001/dicom", {("measured", "133 slices pass the gate")}),
        ("cip-chest", {("measured", "79 slices pass the gate"), ("skipped", "rule: too few slices")}),
        ("odd-dicom/gantry-tilt", {("skipped", "rule: other body parts")}),
        ("odd-dicom/enhanced", {("skipped", "rule: perfusion and dose maps")}),
        ("totalseg-abdomen", {("refused", "the data set lacks SOPClassUID")}),
        ("covid-ny-sbu-slices/data-sample/A046441", {
            ("skipped", "rule: too few slices"), ("skipped", "rule: reformats and projections"),
        }),
    ],
)  # fmt: skip
def test_route_explains_real_folders(real_data: Path, folder: str, expected: set[tuple[str, str]]) -> None:
    found = {(one["outcome"], one["why"]) for one in route(real_data / folder).values()}
    assert all(any(o == outcome and w.startswith(why) for o, w in found) for outcome, why in expected), found
    assert {outcome for outcome, _ in found} == {outcome for outcome, _ in expected}


def test_route_names_the_refusal_code_of_the_gate(real_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ct"
    shutil.copytree(real_data / "cip-chest" / "ct-64Dicom", folder)
    sorted(folder.rglob("*"))[40].unlink()
    (one,) = route(folder).values()
    assert (one["outcome"], one["why"].split(":")[0]) == ("rejected", "missing_slices")


def test_route_prints_every_rule_that_did_not_hold(real_data: Path) -> None:
    folder = real_data / "cip-chest" / "simple_dicom"
    done = CliRunner().invoke(command_line.app, ["route", str(folder), "--verbose"], env={"COLUMNS": "220"})
    assert done.exit_code == 0
    assert "not localizers: image_type is ORIGINAL PRIMARY AXIAL" in " ".join(done.stdout.split())
