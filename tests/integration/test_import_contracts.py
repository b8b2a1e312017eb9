"""Each import contract is seen red once: a contract that cannot fail protects nothing."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support import REPOSITORY

# A file and a line that, added to it, breaks the contract of that name.
BREACHES = {
    "packages": ("db/engine.py", "import worker.errors"),
    "stages": ("worker/reading/series.py", "import worker.results.seg"),
    "rooms": ("dicom_node/spool/folder.py", "import dicom_node.scp.handlers"),
    "series": ("dicom_node/series/facts.py", "import pydicom"),
    "research": ("worker/training/data/cases.py", "import worker.training.fit.plan"),
    "training": ("worker/analysis/quantify.py", "import worker.phantom.chest_ct"),
    "torch": ("worker/results/seg.py", "import torch"),
    "highdicom": ("worker/analysis/lungs/segmentation.py", "import highdicom"),
    "pynetdicom": ("worker/results/sr.py", "import pynetdicom"),
    "values": ("worker/analysis/quantify.py", "import pydicom"),
    "light": ("dicom_node/spool/folder.py", "import numpy"),
    "listener": ("dicom_node/scp/handlers.py", "import db.tracking"),
}


def contract_ids() -> set[str]:
    tables = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    return {contract["id"] for contract in tables["tool"]["importlinter"]["contracts"]}


def lint(tree: Path, contract: str) -> int:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--contract", contract, "--no-cache"]
    return subprocess.run(command, cwd=tree, capture_output=True, check=False).returncode


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("tree")
    for name in ("compose", "db", "dicom_node", "worker"):
        shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    shutil.copy(REPOSITORY / "pyproject.toml", copy)
    return copy


def test_every_contract_has_its_breach() -> None:
    assert set(BREACHES) == contract_ids()


@pytest.mark.parametrize("contract", sorted(BREACHES))
def test_a_breach_turns_its_contract_red(tree: Path, contract: str) -> None:
    name, line = BREACHES[contract]
    path = tree / name
    before = path.read_text()
    assert lint(tree, contract) == 0
    path.write_text(f"{before}\n{line}\n")
    try:
        assert lint(tree, contract) == 1
    finally:
        path.write_text(before)
