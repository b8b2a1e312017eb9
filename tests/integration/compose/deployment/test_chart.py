"""The chart for Kubernetes: Helm renders it, the schemas take it, and it names what is there."""

import tomllib
from typing import Any

import pytest
import redis
from sqlalchemy import make_url

from compose import settings
from dicom_node.scheduler.dispatch import Dispatcher
from tests.support import chart, composed, services, words

EVERYTHING: dict[str, Any] = {
    "siteFile": chart.SITE_FILE,
    "siteSecret": "certificates",
    "settings": {"DICOM_NODE_QUIET_S": 60, "WORKER_PDF": True},
    "spool": {"storageClass": "nfs"},
    "listener": {"service": {"type": "NodePort", "annotations": {"example.org/pool": "radiology"}}},
    "analyse": {"gpu": True},
    "keda": {"enabled": True},
    "performer": {"enabled": True},
    "web": {"enabled": True},
}
VALUES = [pytest.param({}, id="as it comes"), pytest.param(EVERYTHING, id="with everything")]
KUBERNETES = ("1.28", "1.34")


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("version", KUBERNETES)
def test_the_schemas_of_kubernetes_take_every_object(values: dict[str, Any], version: str) -> None:
    validate = services.tool("kubernetes_validate")
    own = [one for one in chart.rendered(**values) if not one["apiVersion"].startswith("keda.sh/")]
    assert len(own) > 10
    for one in own:
        validate.validate(one, version, strict=True)
    own[0]["spec"]["replica"] = 1
    with pytest.raises(validate.ValidationError, match="replica"):
        validate.validate(own[0], version, strict=True)


def test_the_types_of_keda_take_its_objects() -> None:
    keda = services.tool("cloudcoil.models.keda.v1alpha1")
    objects = chart.rendered(**EVERYTHING)
    for kind in ("ScaledObject", "TriggerAuthentication"):
        (one,) = chart.named(objects, kind).values()
        read = getattr(keda, kind).model_validate(one)
        # What the types do not know would be lost on the way.
        assert read.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True) == one
    assert chart.named(chart.rendered(), "ScaledObject") == {}


def test_helm_finds_nothing_wrong_with_the_chart() -> None:
    said = services.tool("helm_python").lint(str(chart.CHART), EVERYTHING, strict=True)
    assert said["errors"] == []
    assert [one["error"] for one in said["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("values", VALUES)
def test_its_commands_and_settings_are_there(values: dict[str, Any]) -> None:
    known = settings.setting_names()
    for name, pod in chart.pods(chart.rendered(**values)).items():
        (container,) = pod["containers"]
        assert words.fault_of(container["args"]) is None, name
        assert {one["name"] for one in container["env"]} <= set(known), name
        (keys,) = [one["secret"]["items"] for one in pod["volumes"] if one["name"] == "secrets"] or [[]]
        assert {one["key"] for one in keys} <= set(known), name


def test_its_parts_are_those_of_the_containers() -> None:
    pods = chart.pods(chart.rendered())
    of_compose = {name: one["command"] for name, one in composed.our_services().items() if "profiles" not in one}
    assert {name: pod["containers"][0]["args"] for name, pod in pods.items()} == of_compose


def test_its_optional_parts_are_those_of_the_containers() -> None:
    pods = chart.pods(chart.rendered(**EVERYTHING))
    optional = {name: one for name, one in composed.our_services().items() if one.get("profiles", ["gpu"]) != ["gpu"]}
    assert set(optional) == {"web", "performer"}
    for name, one in optional.items():
        assert pods[name]["containers"][0]["args"] == one["command"], name
    assert not {"web", "performer"} & set(chart.pods(chart.rendered()))


def test_its_containers_have_no_rights_that_they_do_not_need() -> None:
    for name, pod in chart.pods(chart.rendered(**EVERYTHING)).items():
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["runAsUser"] == composed.USER, name
        rights = pod["containers"][0]["securityContext"]
        assert rights["readOnlyRootFilesystem"], name
        assert not rights["allowPrivilegeEscalation"], name
        assert rights["capabilities"] == {"drop": ["ALL"]}, name
        assert not pod["automountServiceAccountToken"], name
    listener = chart.pods(chart.rendered())["listener"]
    assert "secrets" not in {one["name"] for one in listener["volumes"]}


def test_names_that_objects_use_lead_to_one_another() -> None:
    objects = chart.rendered(**EVERYTHING)
    deployments = chart.named(objects, "Deployment")
    for name, service in chart.named(objects, "Service").items():
        labels = deployments[name]["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items(), name
        (port,) = service["spec"]["ports"]
        ports = deployments[name]["spec"]["template"]["spec"]["containers"][0]["ports"]
        assert [one["name"] for one in ports] == [port["targetPort"]], name
    environment = chart.pods(objects)["monitor"]["containers"][0]["env"]
    (host,) = [one["value"] for one in environment if one["name"] == "DICOM_NODE_HOST"]
    assert host == f"{chart.RELEASE}-listener"
    volumes = [one for pod in chart.pods(objects).values() for one in pod["volumes"]]
    claims = {one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one}
    assert claims == {f"{chart.RELEASE}-{name}" for name in chart.named(objects, "PersistentVolumeClaim")}
    assert tomllib.loads(chart.named(objects, "ConfigMap")["site"]["data"]["site.toml"])["peer"][0]["ae_title"] == "CT1"
    target = chart.named(objects, "ScaledObject")["analyse"]["spec"]["scaleTargetRef"]["name"]
    assert target.removeprefix(f"{chart.RELEASE}-") in deployments
    assert "replicas" not in deployments["analyse"]["spec"]


def test_keda_counts_the_list_that_work_waits_in(redis_url: str) -> None:
    (trigger,) = chart.named(chart.rendered(**EVERYTHING), "ScaledObject")["analyse"]["spec"]["triggers"]
    # A database of Redis that no other test uses; KEDA asks database 0.
    url = make_url(redis_url).set(database="7").render_as_string()
    client = redis.Redis.from_url(url)
    assert Dispatcher(url).analyse(1)
    assert Dispatcher(url).analyse(2)
    assert client.llen(trigger["metadata"]["listName"]) == 2
    client.flushdb()
    client.close()
