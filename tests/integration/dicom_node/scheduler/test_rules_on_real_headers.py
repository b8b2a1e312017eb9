"""The example of the documentation, and values that real headers lack."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from compose import routes
from dicom_node.scheduler import headers
from dicom_node.series import facts, rules
from dicom_node.series.facts import SeriesFacts
from dicom_node.series.rules import Routing
from tests.support import REPOSITORY
from tests.support.command import run
from tests.support.ct import TinyCT

MEASURED = {"4dlung-113", "cmb-crc-01068", "covid-ct-md-p001", "lidc-0001", "nsclc-r01-001", "ricord-covid"}
# Thicker than the example wants, no thorax, single slices, or no CT at all.
LEFT_OUT = {"cip-chest", "covid-ny-sbu-slices", "lungmask-2slices", "lungpet-5mm", "lungpet-8mm", "odd-dicom"}


def example() -> Routing:
    page = (REPOSITORY / "docs" / "reference" / "site-file.md").read_text()
    found = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    return Routing.model_validate(tomllib.loads(found[1])["routing"])


def real_series(folder: Path) -> list[tuple[str, SeriesFacts]]:
    """Return the facts of every DICOM series below a folder, each with the name of the data set it is of."""
    found, _ = routes._series_below(folder)
    return [
        (
            one.paths[0].relative_to(folder).parts[0],
            facts.of([headers.described(header) for header in one.headers], "", routes._slices(one)),
        )
        for one in found.values()
    ]


def test_the_documented_example_fits_real_headers(real_data: Path) -> None:
    seen = real_series(real_data)
    decided = [(name, rules.decide(example(), one).analyse) for name, one in seen]
    assert {name for name, analyse in decided if analyse} == MEASURED
    assert {name for name, analyse in decided if not analyse} == LEFT_OUT
    assert len(seen) > 100


def test_no_series_is_left_out_for_a_lacking_value_unsaid(real_data: Path) -> None:
    """A rule as sites write it at first: wherever a value that is not given decides, the decision names it."""
    strict = {"name": "chest", "action": "analyse", "calling_ae": ["CT1"], "words": ["*CHEST*"], "kernel": ["?*"]}
    routing = Routing.model_validate({"rule": [strict], "otherwise": "skip"})
    by_name = {name: rules.decide(routing, one) for name, one in real_series(real_data)}
    assert not any(decision.analyse for decision in by_name.values())
    assert by_name["lidc-0001"].not_given == (("chest", "words, calling_ae"),)
    assert by_name["ricord-covid"].not_given == (("chest", "calling_ae"),)
    assert by_name["4dlung-113"].not_given == ()


@pytest.mark.parametrize(("words", "outcome"), [((), "skipped"), (("--calling", "CT1"), "measured")])
def test_route_says_that_the_sender_is_not_named(tmp_path: Path, words: tuple[str, ...], outcome: str) -> None:
    folder = TinyCT().write(tmp_path / "ct")[0].parent
    site = tmp_path / "site.toml"
    rule = 'name = "ours"\naction = "analyse"\ncalling_ae = ["CT1"]\n'
    site.write_text(f'[routing]\notherwise = "skip"\n[[routing.rule]]\n{rule}')
    environ = {"DICOM_NODE_SITE_FILE": str(site)}
    (route,) = json.loads(run("route", str(folder), "--json", *words, **environ).stdout)["series"]
    assert route["outcome"] == outcome
    said = run("route", str(folder), *words, **environ).stdout
    assert ("name the sender by --calling" in " ".join(said.split())) == (words == ())
