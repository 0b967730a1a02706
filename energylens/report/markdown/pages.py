"""The pages of a report: VALIDATION.md is the index; a page for every family of claims and a few about the run.

Pages link to sections by their anchors alone (`#fourier.groks`); `pages` tells each link the page that has the section.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count as numbers_from
from posixpath import dirname, relpath

from energylens.report.content.entries import JSON, Entry, families
from energylens.report.content.readable import Md, markdown
from energylens.report.content.sections import section
from energylens.report.content.timeline import history_section
from energylens.report.content.trust import trust_section
from energylens.report.markdown.document import artifact_tables, errors_of, family_head, index
from energylens.report.markdown.pictures import histories, pictures_of, trust_pictures
from energylens.report.markdown.render import render

INDEX = "VALIDATION.md"
FAMILIES, ABOUT = "families", "about"
"""Folders of the pages on claims, by family, and of the pages on the run."""

LIMIT = 230_000
"""Largest page in bytes before its links get the names of pages, which add a few percent: all stay below 250 kB."""

_LINK = re.compile(r"\]\(#([\w.-]+)\)")


def pages(
    results: JSON,
    found: Sequence[Entry],
    pictures: Iterable[str],
    history: Sequence[JSON] = (),
    trust: JSON | None = None,
    amendments: Sequence[JSON] = (),
) -> dict[str, str]:
    """File name and text of every page, the index last. pictures: names of the figures that exist, without suffix.

    A page that would be larger than LIMIT is continued in further pages, claim by claim; a single claim is never cut.
    """
    drawn, trust = set(pictures), trust or {}
    made: dict[str, str] = {}
    place: dict[str, str] = {}
    for family, members in families(found).items():
        sections = [_section(entry, found, drawn) for entry in members]
        head = family_head(family, members, drawn)
        for name, text, held in _split(f"{FAMILIES}/{family}", family, head, sections):
            made[name] = text
            place |= {members[i].id: name for i in held}
    about: dict[str, tuple[str, list[str]]] = {}
    if errors := errors_of(results):
        about["errors"] = ('<a id="errors"></a>\n# Errors\n', errors)
    if told := trust_section(trust, trust_pictures(drawn)):
        about["trust"] = (render("trust.md.j2", trust=told), [])
    if told := history_section(found, history, histories(found, drawn), amendments):
        about["history"] = (
            render("history.md.j2", history=told),
            [_folded(each) for each in told["earlier"]],
        )
    if artifacts := artifact_tables(results):
        about["artifacts"] = (
            "# Artifacts\n\nThe networks and dictionaries that the numbers were measured on.\n",
            artifacts,
        )
    for name, (head, blocks) in about.items():
        made |= {page: text for page, text, _ in _split(f"{ABOUT}/{name}", name, head, blocks)}
    place |= {"errors": f"{ABOUT}/errors.md"}
    made[INDEX] = index(results, found, set(about), trust)
    return {name: _addressed(text, name, place) for name, text in made.items()}


def _section(entry: Entry, found: Sequence[Entry], drawn: set[str]) -> str:
    return render("claim.md.j2", section=section(entry, found, pictures_of(entry, drawn)))


def _split(stem: str, title: str, head: str, blocks: Sequence[str]) -> Iterator[tuple[str, str, list[int]]]:
    """(file name, text, numbers of its blocks) of the pages that hold the head and all blocks, in their order."""
    parts: list[list[int]] = [[]]
    size = len(head.encode())
    for i, block in enumerate(blocks):
        more = len(block.encode()) + 1
        if parts[-1] and size + more > LIMIT:
            parts.append([])
            size = 0
        parts[-1].append(i)
        size += more
    names = [f"{stem}.md", *(f"{stem}.{n}.md" for n, _ in zip(numbers_from(2), parts[1:], strict=False))]
    for n, (name, held) in enumerate(zip(names, parts, strict=True), 1):
        start = head if n == 1 else f"# {markdown(title)}, page {n}\n"
        nav = _navigation(name, names, n)
        yield name, "\n".join([nav, start, *(blocks[i] for i in held)]), held


def _navigation(name: str, names: Sequence[str], n: int) -> str:
    others = "".join(
        f" · page {i}" if i == n else f" · [page {i}]({_from(name, other)})"
        for i, other in enumerate(names, 1)
    )
    return f"[← all claims]({_from(name, INDEX)}){others if len(names) > 1 else ''}\n"


def _folded(earlier: Md) -> str:
    return f"<details>\n<summary>Earlier edits</summary>\n\n{earlier}\n\n</details>\n"


def _addressed(text: str, page: str, place: Mapping[str, str]) -> str:
    """The text, with the page's name in every link to a section of another page."""

    def told(found: re.Match[str]) -> str:
        other = place.get(found.group(1), page)
        return found.group() if other == page else f"]({_from(page, other)}#{found.group(1)})"

    return _LINK.sub(told, text)


def _from(page: str, other: str) -> str:
    """The address of a page as seen from another."""
    return relpath(other, dirname(page) or ".")
