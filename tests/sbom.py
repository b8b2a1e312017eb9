"""The software bill of materials of a site, in CycloneDX: ``python -m tests.sbom FILE``.

The environment also holds what tests need. Listed is what the package asks for at run time, with all that asks for in
turn, as it is installed here, and the model.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import REPOSITORY
from worker import packaged_model

PYPROJECT = REPOSITORY / "pyproject.toml"


def main() -> None:
    """Write the file and say what is in it."""
    target = Path(sys.argv[1])
    bill = of_site(of_environment())
    target.write_text(json.dumps(bill, indent=1) + "\n")
    print(f"{target}: CycloneDX {bill['specVersion']}, {len(bill['components'])} components")


def of_environment() -> dict[str, Any]:
    """Return the bill of everything that is installed here, as cyclonedx-py makes it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "environment.json"
        command = [str(Path(sys.executable).with_name("cyclonedx-py")), "environment", "--pyproject", str(PYPROJECT)]
        options = ["--gather-license-texts", "--output-reproducible", "--no-validate", "-o", str(out)]
        subprocess.run([*command, *options, sys.executable], check=True)
        return dict(json.loads(out.read_text()))


def of_site(bill: dict[str, Any]) -> dict[str, Any]:
    """Return a bill with the components alone that a site runs, and the model."""
    asked = tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]
    kept = set(needed(asked))
    components = [one for one in bill["components"] if canonicalize_name(one["name"]) in kept]
    refs = {one["bom-ref"] for one in components} | {bill["metadata"]["component"]["bom-ref"]}
    dependencies = [
        one | {"dependsOn": [ref for ref in one.get("dependsOn", ()) if ref in refs]}
        for one in bill["dependencies"]
        if one["ref"] in refs
    ]
    return bill | {"components": [*components, _model()], "dependencies": dependencies}


def needed(lines: Sequence[str]) -> Iterator[str]:
    """Yield the distributions that requirements ask for on this machine, with all that these ask for in turn."""
    yield from _needed(lines, frozenset(), set())


def _needed(lines: Sequence[str], extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> Iterator[str]:
    for one in map(Requirement, lines):
        key = canonicalize_name(one.name), frozenset(one.extras)
        applies = one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *extras))
        if applies and key not in seen:
            seen.add(key)
            yield key[0]
            yield from _needed(metadata.requires(key[0]) or (), key[1], seen)


def _model() -> dict[str, Any]:
    card = json.loads(packaged_model.WEIGHTS.with_suffix(".json").read_text())
    return {
        "bom-ref": "model",
        "type": "machine-learning-model",
        "name": card["name"],
        "version": str(card["version"]),
        "hashes": [{"alg": "SHA-256", "content": packaged_model.DIGEST}],
    }


if __name__ == "__main__":
    main()
