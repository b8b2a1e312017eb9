"""Which series are analysed: the rules, what they see, and the choice among reconstructions."""

from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node import site_file
from dicom_node.errors import BadSetting
from dicom_node.scheduler import headers
from dicom_node.series import facts
from dicom_node.series.facts import Described, SeriesFacts
from dicom_node.series.reconstructions import Choice, choose
from dicom_node.series.rules import NO_RULE, Range, Routing, Rule, decide, matches
from dicom_node.spool import header
from tests.support.node_senders import encoded

CHEST = SeriesFacts(
    modality="CT",
    body_part="CHEST",
    words=("CHEST", "ROUTINE"),
    thickness_mm=1.25,
    kernel=("LUNG",),
    image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
    calling_ae="CT1",
    slices=300,
)


def of(**changes: object) -> SeriesFacts:
    """The chest CT with some facts changed."""
    return SeriesFacts(**{**vars(CHEST), **changes})


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({}, None),
        ({"modality": ""}, None),
        ({"modality": "PT"}, "other modalities"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, "localizers"),
        ({"image_type": ("DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE")}, "reformats and projections"),
        ({"image_type": ("DERIVED", "PRIMARY", "CSA", "MPR")}, "reformats and projections"),
        ({"image_type": ("DERIVED", "PRIMARY", "PERFUSION", "RCBF")}, "perfusion and dose maps"),
        ({"body_part": "HEAD", "words": ("ROUTINE", "BRAIN")}, "other body parts"),
        ({"body_part": "ABDOMEN", "words": ("THORAX", "ABDOMEN")}, None),
        ({"body_part": "CSPINE", "words": ()}, "other body parts"),
        ({"body_part": "", "words": ("ABD", "PEL", "ROUTINE")}, "protocols of other body parts"),
        ({"body_part": "", "words": ("TRAUMA", "CHEST", "ABD", "PEL")}, None),
        ({"body_part": "", "words": ()}, None),
        ({"thickness_mm": 8.0}, None),
        ({"thickness_mm": 8.1}, "thick slices"),
        ({"thickness_mm": None}, None),
        ({"slices": 9}, "too few slices"),
    ],
)
def test_the_default_rules_decide(changes: dict[str, object], rule: str | None) -> None:
    decision = decide(Routing(), of(**changes))
    assert (decision.analyse, decision.rule) == (rule is None, rule or NO_RULE)


def test_the_first_matching_rule_decides_and_others_say_why_not() -> None:
    rules = (
        Rule(name="thin", action="skip", thickness_mm=Range(below=1.0)),
        Rule(name="site 2", action="skip", calling_ae=("CT2*",)),
        Rule(name="lung kernel", action="analyse", kernel=("lung",)),
        Rule(name="never reached", action="skip"),
    )
    decision = decide(Routing(rule=rules), CHEST)
    assert (decision.analyse, decision.rule) == (True, "lung kernel")
    assert decision.passed == (("thin", "thickness_mm is 1.25, not below 1"), ("site 2", "calling_ae is CT1"))


@pytest.mark.parametrize("otherwise", ["analyse", "skip"])
def test_what_no_rule_holds_for_goes_the_other_way(otherwise: str) -> None:
    routing = Routing.model_validate({"rule": [], "otherwise": otherwise})
    assert decide(routing, CHEST).analyse == (otherwise == "analyse")


def test_where_slices_are_missing_their_number_decides_nothing() -> None:
    short = of(slices=5)
    assert decide(Routing(), short).rule == "too few slices"
    assert decide(Routing(), short, is_whole=False).analyse


def test_all_conditions_of_a_rule_have_to_hold() -> None:
    rule = Rule(name="both", action="skip", body_part=("CHEST",), slices=Range(at_least=400))
    assert rule.missing(CHEST) == "slices is 300, not at least 400"
    assert rule.missing(of(slices=400)) is None


def test_an_absent_number_passes_where_the_rule_says_so() -> None:
    thin = Rule(name="thin", action="analyse", thickness_mm=Range(at_most=3.0, or_absent=True))
    assert thin.missing(of(thickness_mm=None)) is None
    assert thin.missing(of(thickness_mm=5.0)) == "thickness_mm is 5, not at most 3"


def test_a_rule_that_fails_for_absent_values_alone_is_named() -> None:
    rule = Rule(name="chest", action="analyse", words=("CHEST",), thickness_mm=Range(at_most=3.0))
    routing = Routing(rule=(rule,), otherwise="skip")
    assert decide(routing, of(words=(), thickness_mm=None)).not_given == (("chest", "words, thickness_mm"),)
    assert decide(routing, of(words=(), thickness_mm=5.0)).not_given == ()
    assert decide(routing, CHEST).not_given == ()


@pytest.mark.parametrize(
    ("patterns", "values", "expected"),
    [
        (("a*",), ("ABD", "X"), True),
        (("A*", "!ABD"), ("ABD", "AX"), False),
        (("!ABD",), ("X",), True),
        (("!ABD",), (), True),
        (("?*",), (), False),
        (("",), (), True),
    ],
)
def test_patterns_match_any_value_and_a_banned_one_wins(
    patterns: tuple[str, ...], values: tuple[str, ...], expected: bool
) -> None:
    assert matches(patterns, values) == expected


def image(**values: object) -> Described:
    """What the rules see of an image with these attributes."""
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return headers.described(header.read(encoded(ds), ExplicitVRLittleEndian, headers.FACTS_TAGS))


def test_the_facts_are_what_most_headers_say() -> None:
    axial = image(
        Modality="CT",
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"],
        ProtocolName="Thorax_HRCT 1.0",
        StudyDescription="CT chest w/o contrast",
        SliceThickness="1.0",
        ConvolutionKernel=["Br59d", "3"],
    )
    localizer = image(Modality="CT", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SliceThickness="600")
    found = facts.of([localizer, axial, axial], "CT1 ", 250)
    assert (found.thickness_mm, found.kernel, found.calling_ae) == (1.0, ("BR59D", "3"), "CT1")
    assert found.image_type == ("ORIGINAL", "PRIMARY", "AXIAL", "CT", "SOM5", "SPI")
    assert found.words == ("THORAX", "HRCT", "1", "0", "CT", "CHEST", "W", "O", "CONTRAST")


def test_frames_of_a_multi_frame_image_count_as_slices() -> None:
    assert facts.of([image(NumberOfFrames=120)], "", 1).slices == 120


def test_facts_survive_the_database() -> None:
    as_json = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(CHEST).items()}
    assert SeriesFacts.from_json(as_json) == CHEST


THICK = of(thickness_mm=5.0)
SOFT = of(kernel=("STANDARD",))
ODD = of(kernel=("WXYZ",))
SHORT = of(slices=100)


@pytest.mark.parametrize(
    ("choice", "others", "best"),
    [
        (Choice(), {"thick": THICK, "soft": SOFT, "odd": ODD, "short": SHORT}, "lung"),
        (Choice(kernel="soft"), {"thick": THICK, "soft": SOFT, "odd": ODD}, "soft"),
        (Choice(), {"unknown thickness": of(thickness_mm=None)}, "lung"),
        (Choice(), {"no thinner than useful": of(thickness_mm=0.6, slices=250)}, "lung"),
        (Choice(thin_mm=0.5), {"thinner": of(thickness_mm=0.6)}, "thinner"),
        (Choice(prefer=("slices",)), {"longer": of(slices=400, thickness_mm=5)}, "longer"),
        (
            Choice(prefer=("kernel", "thickness"), kernel="soft"),
            {"thick soft": of(kernel=("B30f",), thickness_mm=5)},
            "thick soft",
        ),
    ],
)
def test_the_best_reconstruction_follows_the_stated_preference(
    choice: Choice, others: dict[str, SeriesFacts], best: str
) -> None:
    assert choose(choice, {"lung": CHEST, **others}).series_uid == best


def test_each_passed_over_reconstruction_says_what_was_better() -> None:
    others = choose(Choice(), {"a": CHEST, "b": THICK, "c": SOFT, "d": CHEST}).others
    assert others["b"] == {"chosen": "a", "by": "thickness", "this": "5.0 mm", "better": "1.25 mm"}
    assert others["c"] == {"chosen": "a", "by": "kernel", "this": "soft kernel", "better": "lung kernel"}
    assert others["d"]["by"] == "uid"


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("B70F", "lung"), ("BL57D", "lung"), ("I70F", "lung"), ("LUNG", "lung"), ("BONEPLUS", "lung"), ("YC", "lung"),
        ("FC51", "lung"), ("B30F", "soft"), ("BR40D", "soft"), ("STANDARD", "soft"), ("FC17", "soft"),
        ("UB", "unknown"),
    ],
)  # fmt: skip
def test_kernels_are_known_by_what_vendors_call_them(kernel: str, kind: str) -> None:
    assert Choice().kind(of(kernel=(kernel,))) == kind


def test_a_site_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(
        """
        [[peer]]
        ae_title = "CT1"
        addresses = ["10.1.2.0/24", "192.0.2.7"]
        listens_at = "10.1.2.3:104"

        [routing]
        otherwise = "skip"

        [routing.choice]
        measure = "all"

        [[routing.rule]]
        name = "thin chest"
        action = "analyse"
        words = ["CHEST", "THORAX"]
        thickness_mm = { at_most = 2.0 }
        """
    )
    site = site_file.load(path)
    assert str(site.peer[0].application_entity) == "CT1@10.1.2.3:104"
    assert (site.routing.rule[0].name, site.routing.otherwise, site.routing.choice.measure) == (
        "thin chest",
        "skip",
        "all",
    )
    assert decide(site.routing, CHEST).analyse


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[[peer]]\nae_titel = 'X'", "peer.0.ae_titel"),
        ("[[peer]]\nae_title = 'X'\naddresses = ['10.0.0.300']", "peer.0.addresses.0"),
        ("[[peer]]\nae_title = 'X'\nlistens_at = 'nowhere'", "listens_at"),
        ("[[routing.rule]]\nname = 'x'\naction = 'drop'", "routing.rule.0.action"),
        ("[[routing.rule]]\nname = 'x'\naction = 'skip'\nmodalty = ['CT']", "routing.rule.0.modalty"),
        ("[routing", "cannot be read"),
    ],
)
def test_a_slip_in_the_site_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(text)
    with pytest.raises(BadSetting, match=named):
        site_file.load(path)


def test_a_site_file_that_is_missing_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"site\.toml"):
        site_file.load(tmp_path / "site.toml")
