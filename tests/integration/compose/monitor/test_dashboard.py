"""Dashboard and alert rules: promtool takes them, and they name the metrics that are there, and no other."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from compose.monitor.metrics import SiteMetrics
from compose.monitor.watch import Watch
from compose.settings import SiteSettings
from db import tracking
from db.engine import open_database
from db.settings import DbSettings
from db.tracking import Failure, LeaseTerms
from dicom_node.settings import NodeSettings
from tests.support import REPOSITORY, services, site_rows
from worker.settings import WorkerSettings

MONITOR = REPOSITORY / "compose" / "monitor"
REFERENCE = REPOSITORY / "docs" / "reference" / "metrics.md"
NAME = re.compile(r"\bscleroscan_[a-z_]+\b")
LABEL = re.compile(r"([a-z_]+)\s*(?:=~|!=|!~|=)\s*\"|\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}|by \(([a-z_]+)\)")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The labels of every sample of /metrics by its name, for rows in which something happened."""
    folder = tmp_path_factory.mktemp("rows")
    url = site_rows.site(folder)
    reject_one_more(url)
    spool = folder / "spool"
    node = NodeSettings(spool_dir=spool)
    site = SiteSettings(DbSettings(url=url), node, WorkerSettings(broker_url="memory://", results_dir=folder))
    watch = Watch(site)
    watch.spool.prepare()
    watch.spool.refusals.note("out_of_space")
    (watch.spool.refused / "1.2.3.study_conflict.dcm").touch()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(SiteMetrics(site, watch).text().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    watch.sessions.kw["bind"].dispose()
    return found


def reject_one_more(url: str) -> None:
    """Reject a third series in its first stage."""
    sessions = open_database(url)
    with sessions.begin() as session:
        site_rows.received(session, "1.2.3", "P3", "CT1")
        job_id = tracking.open_job(session, "1.2.3", site_rows.IDENTITY, site_rows.NOW)
        held = tracking.claim(session, job_id, "worker", LeaseTerms(60, 3), site_rows.NOW)
        assert held is not None
        tracking.enter_stage(session, held, "read", site_rows.NOW)
        tracking.finish(session, held, "rejected", Failure("gantry_tilt", "tilted"), site_rows.NOW)
    sessions.kw["bind"].dispose()


def rules() -> list[dict[str, Any]]:
    return list(yaml.safe_load((MONITOR / "alerts.yml").read_text())["groups"][0]["rules"])


def targets() -> Iterator[dict[str, str]]:
    for panel in json.loads((MONITOR / "grafana.json").read_text())["panels"]:
        yield from panel.get("targets", [])


def queries() -> list[tuple[str, str]]:
    """Every expression, with the text beside it that names labels."""
    of_rules = [(rule["expr"], rule["annotations"]["summary"]) for rule in rules()]
    return of_rules + [(target["expr"], target["legendFormat"]) for target in targets()]


@pytest.mark.parametrize(("expression", "text"), queries(), ids=lambda value: value[:40])
def test_each_metric_and_label_of_a_query_is_there(shown: dict[str, set[str]], expression: str, text: str) -> None:
    names = set(NAME.findall(expression))
    assert names
    assert names <= set(shown)
    labels = {label for found in LABEL.findall(expression + text) for label in found if label}
    assert labels <= set.union(*(shown[name] for name in names))


def test_the_dashboard_shows_every_metric(shown: dict[str, set[str]]) -> None:
    named = {name for target in targets() for name in NAME.findall(target["expr"])}
    # The size of a disk is there for the rule on its share alone.
    assert set(shown) - named == {"scleroscan_disk_size_bytes"}


def test_the_reference_lists_every_metric_and_no_other(shown: dict[str, set[str]]) -> None:
    rows = re.findall(r"^\| `(scleroscan_\w+)` \| (.*?) \|", REFERENCE.read_text(), re.MULTILINE)
    listed = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert listed == shown


def promtool(*words: str | Path, cwd: Path = MONITOR) -> None:
    said = subprocess.run([services.program("promtool"), *words], cwd=cwd, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def test_promtool_takes_rules_and_configuration() -> None:
    promtool("check", "rules", "alerts.yml")
    promtool("check", "config", "prometheus.yml")


def test_promtool_takes_each_expression_of_the_dashboard(tmp_path: Path) -> None:
    records = [{"record": f"dashboard:{number}", "expr": one["expr"]} for number, one in enumerate(targets())]
    (tmp_path / "dashboard.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    promtool("check", "rules", tmp_path / "dashboard.yml")


def test_the_rules_fire_on_what_they_are_for(tmp_path: Path) -> None:
    shutil.copy(MONITOR / "alerts.yml", tmp_path)
    shutil.copy(Path(__file__).with_name("alerts_test.yml"), tmp_path)
    promtool("test", "rules", "alerts_test.yml", cwd=tmp_path)
