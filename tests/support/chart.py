"""The chart for Kubernetes as Helm renders it, by Helm's own library."""

from typing import Any

import yaml

from tests.support import REPOSITORY, services

CHART = REPOSITORY / "compose" / "helm"
RELEASE = "site"
SITE_FILE = '[[peer]]\nae_title = "CT1"\naddresses = ["10.1.2.0/24"]\n'


def rendered(**values: object) -> list[dict[str, Any]]:
    """Return every object that the chart makes with these values."""
    helm = services.tool("helm_python")
    with helm.Chart.load(str(CHART)) as chart:
        texts = chart.render(values, name=RELEASE, namespace="radiology").values()
    return [one for text in texts for one in yaml.safe_load_all(text) if one is not None]


def named(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """Return the objects of a kind by their names, without that of the release."""
    return {one["metadata"]["name"].removeprefix(f"{RELEASE}-"): one for one in objects if one["kind"] == kind}


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the pods of all parts, and of the migrations, by name."""
    owners = named(objects, "Deployment") | named(objects, "Job")
    return {name: one["spec"]["template"]["spec"] for name, one in owners.items()}
