"""What is no DICOM beside the images is set aside and counted, by every command that takes a folder."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compose import command_line, demo, folders
from compose.errors import DemoFailed, NothingToSend
from dicom_node.scp.archive import Archive
from tests.support import databases
from tests.support.json_page import require_documented
from tests.support.node_senders import ct_slice, header, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images among what people leave beside them."""
    folder = tmp_path / "ct"
    write(folder / "series", [ct_slice(number) for number in range(3)])
    (folder / "README.md").write_text("# Where these come from\n")
    (folder / "A-first.png").write_bytes(b"\x89PNG" + bytes(500))
    (folder / "empty").touch()
    (folder / "series" / "cut.dcm").write_bytes(header("1.2.3")[:150])
    (folder / "DICOMDIR").write_bytes(header("1.2.3", folders.DIRECTORY))
    return folder


def test_what_could_be_sent_is_told_from_what_lies_beside_it(folder: Path) -> None:
    images, others = folders.dicom_below(folder)
    assert [path.name for path in images] == ["0000.dcm", "0001.dcm", "0002.dcm"]
    assert sorted(path.name for path in others) == ["A-first.png", "DICOMDIR", "README.md", "cut.dcm", "empty"]


def test_send_sends_the_images_and_counts_what_is_none(folder: Path, tmp_path: Path) -> None:
    with Archive(tmp_path / "archive") as archive:
        done = CliRunner().invoke(command_line.app, ["send", str(folder), f"ARCHIVE@127.0.0.1:{archive.port}"])
        assert (done.exit_code, len(list(archive.instances()))) == (0, 3)
    assert done.stdout.splitlines()[0].startswith("3 images accepted")
    assert "5 other files were left" in done.stdout


def test_send_says_so_in_json(folder: Path, tmp_path: Path) -> None:
    with Archive(tmp_path / "archive") as archive:
        done = CliRunner().invoke(
            command_line.app, ["send", str(folder), f"ARCHIVE@127.0.0.1:{archive.port}", "--json"]
        )
    assert json.loads(done.stdout) == {"accepted": 3, "no_dicom": 5}
    require_documented("send", json.loads(done.stdout))


def test_a_folder_without_an_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing here")
    done = CliRunner().invoke(command_line.app, ["send", str(tmp_path), "ARCHIVE@127.0.0.1:1"])
    assert isinstance(done.exception, NothingToSend)
    with pytest.raises(DemoFailed, match="no DICOM"):
        demo.run(tmp_path / "out", tmp_path, lambda _line: None)


def test_status_and_doctor_say_what_waits_and_for_how_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOM_NODE_SPOOL_DIR", str(tmp_path / "spool"))
    monkeypatch.setenv("DB_URL", databases.sqlite(tmp_path / "rows.db"))
    assert "waiting" not in CliRunner().invoke(command_line.app, ["status"]).stdout
    (path,) = write(tmp_path / "spool" / "new", [ct_slice(0)])
    since = (datetime.now(UTC) - timedelta(minutes=5)).timestamp()
    os.utime(path, (since, since))
    assert "waiting to be registered, the oldest for 300 s" in CliRunner().invoke(command_line.app, ["status"]).stdout
