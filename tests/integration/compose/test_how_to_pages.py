"""What the how-to pages tell administrators to type, typed."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from db.engine import open_database
from dicom_node.scp.archive import Archive
from tests.support import REPOSITORY, ct_files, databases, kept_site, object_stores, services

HOW_TO = REPOSITORY / "docs" / "how-to"


def block(page: str, language: str, containing: str) -> str:
    """Return the one block of a page that contains a text."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", (HOW_TO / page).read_text(), re.DOTALL | re.MULTILINE)
    (found,) = [one for one in blocks if containing in one]
    return found


def test_orthanc_sends_stable_ct_by_the_lua_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "send.lua").write_text(block("connect.md", "lua", "OnStableSeries"))
    own = json.loads(block("connect.md", "json", "DicomModalities"))
    with Archive(tmp_path / "received", "SCLEROSCAN") as received:
        own["DicomModalities"]["scleroscan"] |= {"Host": "127.0.0.1", "Port": received.port}
        lua = {"LuaScripts": [str(tmp_path / "send.lua")], "StableAge": 1}
        with services.orthanc(tmp_path / "orthanc", **own, **lua) as orthanc:
            (image,) = ct_files.write(tmp_path / "ct", ct_files.slices()[:1])
            orthanc.request("POST", "/instances", image.read_bytes())
            services.wait_until(lambda: bool(list(received.instances())), 60, "an image that Orthanc forwards")


def test_the_certificates_of_the_page_are_spoken(tmp_path: Path) -> None:
    openssl = block("tls.md", "sh", "openssl req -x509")
    subprocess.run(["bash", "-ec", openssl], check=True, cwd=tmp_path, capture_output=True)
    for_scanner = (
        "\n".join(openssl.splitlines()[1:]).replace("node.", "ct1.").replace("scleroscan.example", "ct1.example")
    )
    subprocess.run(["bash", "-ec", for_scanner], check=True, cwd=tmp_path, capture_output=True)
    exports = block("tls.md", "sh", "DICOM_NODE_TLS_CERT").replace("/etc/scleroscan", str(tmp_path))
    port = services.free_port()
    own = {
        "DICOM_NODE_HOST": "127.0.0.1",
        "DICOM_NODE_PORT": str(port),
        "DICOM_NODE_SPOOL_DIR": str(tmp_path / "spool"),
    }
    environ = os.environ | own | dict(re.findall(r"(DICOM_NODE_TLS_\w+)=(\S+)", exports))
    (line,) = block("tls.md", "text", "echoscu").splitlines()
    words = shlex.split(line.replace("scleroscan.example 11112", f"127.0.0.1 {port}"))
    words[0] = services.program("echoscu")
    with services.running([sys.executable, "-m", "scleroscan", "listen"], tmp_path / "log", env=environ):
        services.wait_until(lambda: services.port_answers(port), 90, "the listener")
        by_tls = subprocess.run(words, check=False, cwd=tmp_path, capture_output=True, text=True)
        assert by_tls.returncode == 0, by_tls.stderr
        in_the_clear = [words[0], "-aec", "SCLEROSCAN", "127.0.0.1", str(port)]
        assert subprocess.run(in_the_clear, check=False, capture_output=True).returncode != 0


def typed(script: str, **environ: str) -> str:
    """Type commands into a shell, in which our program is the one of this environment; return what they print."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    said = subprocess.run(
        ["bash", "-c", script], check=False, capture_output=True, text=True, env=os.environ | environ | {"PATH": path}
    )
    return " ".join((said.stdout + said.stderr).split())


def test_the_commands_of_the_object_store_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, page_url = "object-store.md", "s3://radiology/scleroscan"
    for name, value in object_stores.LOGIN.items():
        monkeypatch.setenv(name, value)
    own = {
        "DB_URL": databases.sqlite(tmp_path / "rows.db"),
        "DICOM_NODE_SPOOL_DIR": str(tmp_path / "spool"),
        "WORKER_RESULTS_DIR": str(tmp_path / "results"),
        "SECRET": object_stores.LOGIN["AWS_SECRET_ACCESS_KEY"],
    }
    by_folder = block(page, "sh", "mkdir").replace("/mnt/archive", str(tmp_path))
    assert "takes an object, gives it" in typed(by_folder, **own)
    assert list((tmp_path / "scleroscan").iterdir()) == []
    with object_stores.s3_server(tmp_path) as endpoint:
        place = object_stores.s3(endpoint)
        options = json.loads(block(page, "json", "endpoint_url")) | place.options
        (tmp_path / "store.json").write_text(json.dumps(options))
        by_s3 = block(page, "sh", "AWS_ACCESS_KEY_ID").replace("/etc/scleroscan", str(tmp_path))
        by_s3 = by_s3.replace(page_url, place.url)
        assert "takes an object, gives it" in typed(by_s3, **own)
        site = kept_site.made(tmp_path, open_database(own["DB_URL"]), place)
        site.done(1)
        site.keeper().round(kept_site.LONG_AFTER)
        assert site.clean() == 6
        home = by_s3.replace("scleroscan doctor", "") + block(page, "sh", "scleroscan fetch")
        assert typed(home, **own).startswith("3 images and 3 files of results are here, 6 of them from the store")
        assert len(site.here()) == 6
        site.sessions.kw["bind"].dispose()
