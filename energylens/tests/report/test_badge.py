from typing import Any
from xml.etree import ElementTree

import pytest

from energylens.errors import InputError
from energylens.report import badge, badge_svg
from energylens.report.badge import text_width
from energylens.tests.report.helpers.example import only


def test_all_claims_in_the_shields_schema(results: dict[str, Any]) -> None:
    shield = badge(results)
    assert set(shield) == {"schemaVersion", "label", "message", "color"}
    assert shield["schemaVersion"] == 1
    assert shield["label"] == "as published"
    assert shield["message"] == "2 hold, 3 by chance too, 1 not run here, 1 error"
    assert shield["color"] == "critical"


@pytest.mark.parametrize(
    ("claim", "message", "colour"),
    [
        ("fourier.r2-below-5pct", "refuted", "red"),
        ("stability.pwmcc-level", "holds, by chance too", "yellowgreen"),
        ("stability.above-chance", "invalid", "orange"),
        ("fourier.grokked-circuit", "inconclusive", "yellow"),
        ("hostile.text", "holds", "brightgreen"),
        ("broken.code", "error", "critical"),
        ("fourier.groks", "holds", "brightgreen"),
    ],
)
def test_one_claim(results: dict[str, Any], claim: str, message: str, colour: str) -> None:
    shield = badge(results, claim)
    assert (shield["label"], shield["message"], shield["color"]) == (claim, message, colour)


def test_mixed_verdicts_are_blue_and_chance_is_never_green(results: dict[str, Any]) -> None:
    assert badge(only(results, "fourier.r2-below-5pct", "hostile.text"))["color"] == "blue"
    assert badge(only(results, "hostile.text"))["color"] == "brightgreen"
    assert badge(only(results, "stability.pwmcc-level"))["color"] == "blue"


def test_an_unknown_claim_is_named(results: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="no-such-claim"):
        badge(results, "no-such-claim")


@pytest.mark.parametrize("text", ["9 hold, 4 refuted, 1 inconclusive", "fourier.r2-below-5pct", "claims"])
def test_widths_are_those_of_the_font(text: str) -> None:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    measure = TextToPath().get_text_width_height_descent
    width, _, _ = measure(text, FontProperties(family="DejaVu Sans", size=11), ismath=False)
    assert text_width(text) == pytest.approx(width, rel=0.04)


def test_the_svg_is_xml_that_shows_the_text_and_fits() -> None:
    shield = {"label": "<a> & \x1b", "message": '"b" ]]>', "color": "blue"}
    root = ElementTree.fromstring(badge_svg(shield))
    space = "{http://www.w3.org/2000/svg}"
    texts = root.findall(f"{space}g/{space}text")
    assert [text.text for text in texts] == ["<a> &", '"b" ]]>']
    ends = [float(text.attrib["x"]) + float(text.attrib["textLength"]) for text in texts]
    assert ends[0] < float(texts[1].attrib["x"])
    assert ends[1] < float(root.attrib["width"])


def test_every_colour_can_be_drawn(results: dict[str, Any]) -> None:
    for claim in results["claims"]:
        ElementTree.fromstring(badge_svg(badge(results, claim["id"])))
    ElementTree.fromstring(badge_svg(badge(results)))
