"""One line on each measurement of how far a report can be trusted."""

from collections.abc import Callable, Mapping
from typing import Any

from energylens.report.content.entries import JSON
from energylens.report.content.readable import Md, count, markdown
from energylens.report.content.replication import sentences
from energylens.report.content.trust import VIOLATIONS


def trust_lines(trust: JSON) -> list[Md]:
    """One line per section that was measured."""
    return [markdown(line(trust[name]["numbers"])) for name, line in _LINES.items() if name in trust]


def _calibration(found: JSON) -> str:
    broken = found["broken_promises"]
    kinds = count(len(found["cells"]), "kind")
    kept = f"promises broken: {'; '.join(broken)}" if broken else "no promised error rate was exceeded"
    return f"Claims with a known truth were judged on {kinds} of invented seeds: {kept}."


def _replication(found: JSON) -> str:
    *_, told = sentences(found["lines"][-1])
    return f"On another machine {told}."


def _sabotage(found: JSON) -> str:
    return (
        f"{found['noticed']} of {found['controls tried']} controls that had to notice one of "
        f"{count(len(found['broken instruments']), 'broken instrument')} did."
    )


def _mutation(found: JSON) -> str:
    share = 100 * float(found["killed_share_of_tried"])
    return f"Tests of the mathematics reject {share:.1f} % of {found['tried']} copies of it with one thing changed."


def _same_answer(found: JSON) -> str:
    ways = list(found["layouts"].values())
    other = (
        count(sum(len(way[f"different {what}s"]) for way in ways), f"different {what}")
        for what in ("verdict", "measurement")
    )
    return f"The same claims, run in {count(len(ways), 'way')}, gave {' and '.join(other)}."


def _store(found: JSON) -> str:
    race = found["race"]
    harm = sum(int(race[name]) for name in VIOLATIONS)
    return (
        f"{race['kills']} processes were killed while racing for one artifact: {harm} times an artifact was lost, "
        "damaged or built in vain, or another process failed."
    )


_LINES: Mapping[str, Callable[[Any], str]] = {
    "calibration": _calibration, "replication": _replication, "sabotage": _sabotage, "mutation": _mutation,
    "same-answer": _same_answer, "store": _store,
}  # fmt: skip
