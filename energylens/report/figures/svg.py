"""Figures as compact SVG: the same figure has the same bytes, and a change of its numbers changes few of them.

The SVG of matplotlib is rewritten: text stays text, coordinates have one decimal, groups without a style are removed,
shapes that look alike share one group with their style, and dates, versions and programs are left out.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

Element = ElementTree.Element

_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_DROPPED = {f"{_SVG}metadata", f"{_SVG}title"}
_NUMBER = re.compile(r"-?\d*\.?\d+(?:e[-+]?\d+)?")
_LOOK = ("clip-path", "style")
_COORDINATES = ("d", "x", "y", "width", "height", "points", "transform", "viewBox")
_DEFAULTS = {
    "fill-opacity: 1", "stroke-opacity: 1", "stroke-dashoffset: 0", "stroke-miterlimit: 100000", "font-style: normal",
    "font-size: 7.5px", "font-family: 'DejaVu Sans'", "text-anchor: start",
}  # fmt: skip
"""Attributes that are left out, because the whole picture or every SVG has them."""
_STYLE = "stroke-linejoin:round;font:7.5px DejaVu Sans,Verdana,sans-serif"
"""Verdana, where there is no DejaVu Sans: its letters are as wide."""


@dataclass(frozen=True)
class _Shape:
    """What is drawn: the look of the group that it belongs to, and its own text; of a point its marker and place."""

    look: str
    text: str
    marker: str = ""
    at: str = ""


def compact(svg: bytes) -> bytes:
    """The same picture in fewer bytes. Raises ElementTree.ParseError for what is no XML."""
    root = ElementTree.fromstring(svg)
    used = {found for each in root.iter() for found in _references(each)}
    definitions = _definitions(root, used)
    drawn = list(_grouped(list(_shapes(root, used)), definitions))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" style="{_STYLE}"'
        f" width={quoteattr(root.attrib['width'])} height={quoteattr(root.attrib['height'])}"
        f" viewBox={quoteattr(_rounded(root.attrib['viewBox']))}>"
    )
    return "\n".join([head, "<defs>", *definitions.values(), "</defs>", *drawn, "</svg>", ""]).encode()


def _references(element: Element) -> Iterator[str]:
    for value in element.attrib.values():
        yield from re.findall(r"url\(#([^)]+)\)", value)
    if element.attrib.get(_LINK, "").startswith("#"):
        yield element.attrib[_LINK][1:]


def _definitions(root: Element, used: set[str]) -> dict[str, str]:
    """What is drawn more than once, and clipping, by id: each in one place."""
    found: dict[str, str] = {}
    for defs in root.iter(f"{_SVG}defs"):
        found |= {each.attrib["id"]: _text(each) for each in defs if each.attrib.get("id") in used}
    return found


def _shapes(
    element: Element, used: set[str], inherited: Mapping[str, str] = MappingProxyType({})
) -> Iterator[_Shape]:
    """Everything that is drawn, in its order; groups that carry a style or clipping alone are passed on."""
    for child in element:
        if child.tag in _DROPPED or child.tag == f"{_SVG}defs":
            continue
        own = {name: value for name, value in child.attrib.items() if name != "id" or value in used}
        look: Mapping[str, str] = {name: own.pop(name) for name in _LOOK if name in own}
        look = {**inherited, **look, "style": ";".join(each.get("style", "") for each in (inherited, look))}
        if child.tag == f"{_SVG}g" and not own:
            yield from _shapes(child, used, look)
        elif child.tag == f"{_SVG}use" and own.keys() <= {_LINK, "x", "y"}:
            at = f"{_rounded(own.get('x', '0'))} {_rounded(own.get('y', '0'))}"
            yield _Shape(_attributes(look), _text(child, own), own[_LINK][1:], at)
        else:
            yield _Shape(_attributes(look), _text(child, own))


def _grouped(shapes: Sequence[_Shape], definitions: dict[str, str]) -> Iterator[str]:
    """Neighbours that look alike in one group; their points, where there are several, as the corners of one path."""
    for (look, marker), group in groupby(shapes, lambda shape: (shape.look, shape.marker)):
        found = list(group)
        if marker and len(found) > 1:
            style, clip = (re.search(rf' {name}="[^"]*"', look) for name in ("style", "clip-path"))
            name = _marker(marker, style.group() if style else "", definitions)
            corners = " ".join(shape.at for shape in found)
            yield f'<path{clip.group() if clip else ""} style="fill:none;marker:url(#{name})" d="M{corners}"/>'
        elif len(found) == 1:
            head, space, rest = found[0].text.partition(" ")
            yield f"{head}{look}{space}{rest}"
        else:
            yield from (
                [f"<g{look}>", *(shape.text for shape in found), "</g>"] if look else (s.text for s in found)
            )


def _marker(shape: str, style: str, definitions: dict[str, str]) -> str:
    """Id of a marker of this shape and style, which is defined where there was none."""
    text = f'<use xlink:href="#{shape}"{style}/></marker>'
    known = next((name for name, defined in definitions.items() if defined.endswith(text)), "")
    name = known or f"{shape}-{sum(one.startswith(f'{shape}-') for one in definitions)}"
    definitions[name] = f'<marker id="{name}" overflow="visible" markerUnits="userSpaceOnUse">{text}'
    return name


def _text(element: Element, attributes: dict[str, str] | None = None) -> str:
    tag = element.tag.removeprefix(_SVG)
    head = f"<{tag}{_attributes(dict(element.attrib if attributes is None else attributes))}"
    inside = escape((element.text or "").strip()) if tag in ("text", "tspan", "style") else ""
    inside += "".join(_text(child) for child in element)
    return f"{head}>{inside}</{tag}>" if inside else f"{head}/>"


def _attributes(found: Mapping[str, str]) -> str:
    told = []
    for name, value in found.items():
        if re.match(r"rotate\(-?0 ", value):
            continue
        short = _rounded(value) if name in _COORDINATES else value
        short = _style(short) if name == "style" else _path(short) if name == "d" else short
        if short:
            told.append(f" {name.replace('{http://www.w3.org/1999/xlink}', 'xlink:')}={quoteattr(short)}")
    return "".join(told)


def _style(style: str) -> str:
    kept = dict.fromkeys(rule.strip() for rule in style.split(";") if rule.strip())
    return ";".join(rule.replace(": ", ":") for rule in kept if rule not in _DEFAULTS)


def _rounded(text: str) -> str:
    """Every number with one decimal at most; scales, which are below 1, with four digits."""

    def short(found: re.Match[str]) -> str:
        return _number(float(found.group()), 4 if text.startswith("scale") else 1)

    return _NUMBER.sub(short, " ".join(text.split()))


def _number(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{value:.0f}"
    text = "0" if text in ("-0", "") else text
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _path(d: str) -> str:
    """`M 1 2 L 3 4 z` as `M1 2L3 4z`."""
    return re.sub(r" ?([A-Za-z]) ?", r"\1", d)
