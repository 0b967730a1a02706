"""SVGs hold what matplotlib drew in few bytes."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from energylens.report.figures.style import encode, new_figure, styled
from energylens.report.figures.svg import compact

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn() -> bytes:
    with styled():
        figure = new_figure(2.0)
        axes = figure.subplots()
        for shift in range(3):
            axes.plot(
                [i + 0.123456 for i in range(40)],
                [shift + i % 7 for i in range(40)],
                "o",
                color="#0072B2",
                mew=0,
            )
        axes.plot([1.0], [2.0], "s", color="red")
        axes.plot([0, 40], [1, 2])
        axes.fill_between([0, 10], [0, 1], alpha=0.3)
        axes.set_title("a < b & c", rotation=0)
        axes.set_ylabel("y")
        return encode(figure)["svg"]


def test_points_of_one_look_are_one_path(drawn: bytes) -> None:
    root = ElementTree.fromstring(drawn)
    (points,) = (p for p in root.iter(f"{SVG}path") if p.attrib.get("d", "").count(" ") > 200)
    assert len(re.findall(r"[\d.]+ [\d.]+", points.attrib["d"])) == 3 * 40
    marker = re.search(r"marker:url\(#(.+?)\)", points.attrib["style"]).group(1)  # type: ignore[union-attr]
    (defined,) = (each for each in root.iter(f"{SVG}marker") if each.attrib["id"] == marker)
    assert "fill:#0072b2" in ElementTree.tostring(defined).decode()
    assert len(list(root.iter(f"{SVG}g"))) < 10


def test_coordinates_have_one_decimal(drawn: bytes) -> None:
    root = ElementTree.fromstring(drawn)
    told = [e.attrib[name] for e in root.iter() for name in ("d", "x", "y", "points") if name in e.attrib]
    assert len(told) > 20
    assert not [text for text in told if re.search(r"\.\d\d", text)]


def test_text_is_text_and_nothing_tells_of_programs_or_dates(drawn: bytes) -> None:
    root = ElementTree.fromstring(drawn)
    assert "a < b & c" in {text.text for text in root.iter(f"{SVG}text")}
    for told in (b"metadata", b"matplotlib", b"date", b"<!--", b"DOCTYPE", b'id="figure'):
        assert told not in drawn


def test_every_reference_leads_to_a_definition(drawn: bytes, report: Any) -> None:
    for content in (drawn, *(path.read_bytes() for path in report.glob("figures/*.svg"))):
        root = ElementTree.fromstring(content)
        defined = {each.attrib["id"] for each in root.iter() if "id" in each.attrib}
        used = set(re.findall(rb"(?:url\(|href=\")#([^)\"]+)", content))
        assert {name.decode() for name in used} <= defined


def test_the_same_figure_gives_the_same_bytes_and_compacting_again_is_harmless(drawn: bytes) -> None:
    again = ElementTree.fromstring(compact(drawn))
    texts = [[t.text for t in root.iter(f"{SVG}text")] for root in (again, ElementTree.fromstring(drawn))]
    assert texts[0] == texts[1]


def test_styles_of_a_group_and_of_what_is_in_it_are_joined() -> None:
    inner = '<g style="fill: red"><path d="M 0 0.04 L 1.26 1e-9" style="stroke: blue"/></g>'
    made = compact(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="9pt" height="9pt" viewBox="0 0 9 9">{inner}</svg>'.encode()
    )
    assert b'<path style="fill:red;stroke:blue" d="M0 0L1.3 0"/>' in made


def test_a_rotated_text_stays_rotated(drawn: bytes) -> None:
    assert re.search(rb'<text[^>]*transform="[^"]*rotate\(-90', drawn)
    assert b"rotate(0" not in drawn
