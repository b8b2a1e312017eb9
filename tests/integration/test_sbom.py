"""The bill of materials: valid CycloneDX, and exactly what a site runs, found by another way."""

import json
import subprocess
import sys
import tomllib
from hashlib import sha256
from importlib import metadata
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import sbom
from tests.support import REPOSITORY
from worker import packaged_model


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    return sbom.of_site(sbom.of_environment())


def loaded() -> set[str]:
    """The distributions from which a site's own modules load anything, told by the interpreter that loads them."""
    program = (
        "import importlib, json, pkgutil, sys\n"
        "for name in ('db', 'dicom_node', 'worker', 'compose'):\n"
        "    package = importlib.import_module(name)\n"
        "    for one in pkgutil.walk_packages(package.__path__, name + '.'):\n"
        "        if 'migrations' not in one.name:\n"
        "            importlib.import_module(one.name)\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    said = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    of_module = metadata.packages_distributions()
    return {canonicalize_name(name) for module in json.loads(said.stdout) for name in of_module.get(module, ())}


def is_installed(requirement: str) -> bool:
    """Whether a distribution is there: `make acceptance` adds what the other tests do without."""
    return any(metadata.distributions(name=Requirement(requirement).name))


def test_the_bill_is_valid_cyclonedx(bill: dict[str, Any]) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None


def test_whatever_a_site_loads_is_listed_and_no_tool(bill: dict[str, Any]) -> None:
    listed = {canonicalize_name(one["name"]): one["version"] for one in bill["components"] if one["type"] == "library"}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    tools = [line for group in project["optional-dependencies"].values() for line in group if is_installed(line)]
    found = loaded() - {"scleroscan"}
    assert len(found) > 40
    # Libraries also load some of what tests and viewer need, where they find it, and do without at a site.
    assert found - set(listed) <= set(sbom.needed(tools))
    assert listed == {name: metadata.version(name) for name in listed}
    for line in project["dependencies"]:
        assert canonicalize_name(Requirement(line).name) in listed
    assert {canonicalize_name(Requirement(line).name) for line in tools} & set(listed) == set()


def test_every_component_has_address_and_licence(bill: dict[str, Any]) -> None:
    libraries = [one for one in bill["components"] if one["type"] == "library"]
    assert [one["name"] for one in libraries if not one.get("purl") or not one.get("licenses")] == []


def test_the_model_is_listed_with_the_digest_of_its_file(bill: dict[str, Any]) -> None:
    (model,) = (one for one in bill["components"] if one["type"] == "machine-learning-model")
    digest = sha256(packaged_model.WEIGHTS.read_bytes()).hexdigest()
    assert model["hashes"] == [{"alg": "SHA-256", "content": digest}]
