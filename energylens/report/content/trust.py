"""Tables and sentences on how far a report can be trusted, from what `energylens trust` measured of the harness."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from energylens.report.content.entries import JSON
from energylens.report.content.readable import Md, bold, count, markdown, number, table
from energylens.report.content.replication import replication_blocks

TRUST_FIGURE = "trust_power"

_LEVEL_REGIONS = "at the boundary"
VIOLATIONS = {
    "corrupt_reads": "artifacts read with wrong numbers",
    "lost_artifacts": "complete artifacts lost or replaced",
    "half_written_artifacts": "half-written artifacts in their final place",
    "needless_rebuilds": "rebuilds of a complete artifact",
    "stuck": "survivors that were stuck",
    "errors": "racers that raised an error",
}


def trust_section(trust: JSON, figures: Mapping[str, Sequence[JSON]]) -> dict[str, Any] | None:
    """Context of `trust.md.j2`; None where nothing was measured. figures: name and text of each figure, by section."""
    parts: list[dict[str, Any]] = [
        {
            "name": name,
            "title": title,
            "measured": _measured(trust[name]),
            "blocks": list(make(trust[name]["numbers"])),
            "figures": figures.get(name, []),
        }
        for name, (title, make) in _SECTIONS.items()
        if name in trust
    ]
    if not parts:
        return None
    return {"parts": parts, "missing": [title for name, (title, _) in _SECTIONS.items() if name not in trust]}


def _measured(section: JSON) -> str:
    at = f" at commit {section['commit'][:9]}" if section["commit"] else ""
    changed = " with uncommitted changes" if section["dirty"] else ""
    seconds = float(section["seconds"])
    lasted = f", in {seconds:.0f} s" if seconds >= 1 else ""  # mutation testing goes on where it stopped
    when = f" {section['started'][:10]}" if section["started"] else ""
    return f"Measured{when}{at}{changed}{lasted}."


def _calibration(found: JSON) -> Iterator[Md]:
    cells = found["cells"]
    seeds = sorted({cell["seeds"] for cell in cells})
    drawn = max(cell["repetitions"] or 0 for cell in cells)
    broken = found["broken_promises"]
    yield markdown(
        f"Claims with a known truth were judged on {count(len(cells), 'kind')} of invented seeds (a distribution and a "
        f"number of seeds), each drawn {drawn} times (hit rates: every outcome, exactly). Where the truth lies on the "
        f"boundary, at most 5 % of the claims may be decided on either side, if the distribution is promised that. "
        + (f"Promises broken: {'; '.join(broken)}." if broken else "No promise was broken.")
    )
    rows = []
    for name in dict.fromkeys(cell["population"] for cell in cells):
        of = {cell["seeds"]: cell for cell in cells if cell["population"] == name}
        promised = next(iter(of.values()))
        kept = "5 %" if promised["keeps_level"] else "none"
        rows.append([name, kept, *(_cell(of[n]) if n in of else "" for n in seeds)])
    headers = ["distribution of seeds", "promised level", *(f"{n} seeds" for n in seeds)]
    yield table(headers, rows)
    yield Md(
        "*In each cell: first the largest rate, over regions, of a wrong HOLDS or REFUTED with the truth on the "
        "boundary, then the coverage of the 90 % interval. For skewed distributions nothing is promised.*"
    )
    yield from _comparisons(found.get("comparisons", []))


def _comparisons(cells: Sequence[JSON]) -> Iterator[Md]:
    """Claims with nulls, ceilings or several parts, the truth between two answers; older records have no such cells."""
    if not cells:
        return
    seeds = sorted({cell["seeds"] for cell in cells})
    rows = []
    for wrong, case in dict.fromkeys((cell["wrong"], cell["case"]) for cell in cells):
        of = {cell["seeds"]: cell for cell in cells if (cell["wrong"], cell["case"]) == (wrong, case)}
        kept = "5 %" if next(iter(of.values()))["promised"] else "none"
        rows.append([wrong, case, kept, *(_percent(of[n]["rate"]) if n in of else "" for n in seeds)])
    headers = ["said wrongly", "distribution of seeds", "promised level", *(f"{n} seeds" for n in seeds)]
    yield table(headers, rows, keep=3)
    yield Md(
        "*In each cell: how often a claim exactly as good as its null is called better than chance, a claim whose "
        "ceiling lies on the boundary is called out of reach, a claim whose parts all lie on their boundaries is "
        "refuted.*"
    )


def _cell(cell: JSON) -> str:
    """Largest rate of a wrong word, and coverage. One rate for both words: regions mirror each other."""
    at = [each for each in cell["decisions"] if each["truth"] == _LEVEL_REGIONS]
    worst = max(float(each[word]["rate"]) for each in at for word in ("holds", "refuted"))
    return f"{_percent(worst)}; {_percent(cell['coverage']['rate'])}"


def _sabotage(found: JSON) -> Iterator[Md]:
    broken, how = found["broken instruments"], found["noticed how"]
    yield markdown(
        f"{count(len(broken), 'instrument')} were broken on purpose; {found['noticed']} of {found['controls tried']} "
        f"controls that had to notice did ({', '.join(f'{n} {name}' for name, n in how.items())}). So in "
        f"{found['claims and controls proved']} pairs of a claim and its control the control is known to work."
    )
    for name, text in (
        ("unnoticed", "Controls that did not notice"),
        ("claims and controls never tried", "Pairs of a claim and a control that were never tried"),
        (
            "claims and controls that show with nothing broken",
            "These controls object even with nothing broken, so that objecting to a broken instrument proves nothing",
        ),
    ):
        if found[name]:
            yield Md(f"{text}:\n\n" + "\n".join(f"- {markdown(one)}" for one in found[name]))
    rows = [[name, says] for name, says in broken.items()]
    yield _folded("What was broken", table(["sabotage", "what the broken instrument does"], rows, keep=2))


def _store(found: JSON) -> Iterator[Md]:
    race, damage = found["race"], found["damage"]
    yield markdown(
        f"{race['processes']} processes raced for one artifact in {race['rounds']} rounds; {race['kills']} of them "
        f"were killed, {race['kills_while_locked']} while they held the lock."
    )
    yield table(
        ["what must not happen", "times"], [[text, race[name]] for name, text in VIOLATIONS.items()], keep=2
    )
    caught = found["violations_found_in_broken_stores"]
    unnoticed = [name for name, violations in caught.items() if not violations]
    yield markdown(
        f"Of {count(len(caught), 'implementation')} of the store that were broken on purpose, the same race noticed "
        f"{len(caught) - len(unnoticed)}{': not ' + ', '.join(unnoticed) if unnoticed else ''}. "
        f"Of {damage['injected']} damages to artifacts (flipped bits, truncation, removed and exchanged files) "
        f"{damage['detected']} were detected on reading, {damage['set_aside']} set aside and "
        f"{damage['rebuilt']} rebuilt to the same bits."
    )
    rows = [
        [name, one["attempts"], one["refused"], one["done"], one["half_written"], ", ".join(one["unclear"])]
        for name, one in found["refusals"].items()
    ]
    headers = ["error of the disk", "times", "clear error message", "completed all the same"]
    headers += ["left half-written", "unclear errors"]
    yield table(headers, rows, keep=5)


def _same_answer(found: JSON) -> Iterator[Md]:
    rows = [
        [
            name,
            way["verdicts"],
            way["measurements"],
            len(way["different verdicts"]),
            len(way["different measurements"]),
        ]
        for name, way in found["layouts"].items()
    ]
    yield markdown(
        f'The claims that -k "{found["selection"]}" selects, run in several ways; {found["left out"]}.'
    )
    yield table(
        ["run", "verdicts", "measurements", "different verdicts", "different measurements"], rows, keep=5
    )
    again = [
        f"{name}: {'identical' if one['identical'] else 'DIFFERENT'}"
        for name, one in found["built again"].items()
    ]
    other = found["other thread count"]
    one, two = other["threads"]
    yield markdown(
        f"Trained again and compared bit by bit: {'; '.join(again)}. {other['network']} trained in {two} threads "
        f"instead of {one} differs by up to {number(other['largest difference of a weight'], 2)} in a weight, and has "
        f"{'the same verdicts' if other['same verdicts'] else 'OTHER verdicts'} ({', '.join(other['verdicts'])})."
    )


def _replication(found: JSON) -> Iterator[Md]:
    return replication_blocks(found["lines"])


def _mutation(found: JSON) -> Iterator[Md]:
    modules = found["modules"]
    tried, killed = found["tried"], found["killed"]
    shares = {name: one["killed"] / one["tried"] if one["tried"] else 0 for name, one in modules.items()}
    drawn = "" if tried == found["mutants"] else f", drawn from {found['mutants']}"
    yield markdown(
        f"Of {tried} copies of {count(len(modules), 'module')}, each with one thing changed{drawn}, {killed} fail the "
        f"module's own tests: {_percent(found['killed_share_of_tried'])}."
    )
    rows = [
        [name, one["mutants"], one["tried"], one["killed"], _percent(shares[name]),
         ", ".join(f"{n} {why}" for why, n in one["survivors"].items())]
        for name, one in modules.items()
    ]  # fmt: skip
    headers = ["module", "changed copies", "tried", "fail the tests", "share", "copies that pass, by reason"]
    yield _folded("By module", table(headers, rows, keep=5))


_SECTIONS: Mapping[str, tuple[str, Callable[[JSON], Iterator[Md]]]] = {
    "calibration": ("How often is a verdict wrong?", _calibration),
    "replication": ("Do findings come out the same on another machine?", _replication),
    "sabotage": ("Can the controls fail?", _sabotage),
    "mutation": ("Would the tests notice a mistake in the mathematics?", _mutation),
    "same-answer": ("Is the answer the same, however claims are run?", _same_answer),
    "store": ("Can a killed process or a bad disk spoil a number?", _store),
}


def _folded(title: str, text: Md) -> Md:
    return Md(f"<details>\n<summary>{bold(title)[2:-2]}</summary>\n\n{text}\n\n</details>")


def _percent(share: Any) -> str:
    return f"{100 * float(share):.1f} %"
