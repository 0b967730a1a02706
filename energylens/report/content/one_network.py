"""Sentences of a report on one network alone, which never sound like findings."""

from collections.abc import Sequence

from energylens.harness.one_network import is_one_network
from energylens.harness.verdict import Unit, Word
from energylens.report.content.entries import JSON, Entry
from energylens.report.content.readable import count


def alone_and_others(found: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """(claims that were judged on one network alone, other claims); without any of the first kind, all are others.

    Beside claims of the first kind, those that did not run (most are about other tasks) are in neither list.
    """
    alone = [entry for entry in found if entry.is_one_network]
    others = [entry for entry in found if not entry.is_one_network]
    return alone, [entry for entry in others if not alone or entry.word != Word.NOT_RUN]


def networks(alone: Sequence[Entry]) -> str:
    """`one network`, or how many that stand each for itself."""
    n = len(_names(alone))
    return "one network" if n == 1 else f"{n} networks, each by itself"


def checked(found: Sequence[Entry]) -> str:
    """Which single network was checked, and what its intervals are over; empty for a run on several networks."""
    verdicts = [v for entry in found for v in entry.verdicts if is_one_network(v)]
    return " ".join(_sentence(name, [v for v in verdicts if v["model"] == name]) for name in _names(found))


def measured_on(entry: Entry) -> str:
    """The data that a claim was measured on, for one network alone: `5 samples of the data of mine`."""
    if not entry.is_one_network:
        return ""
    verdicts = {verdict["model"]: verdict for verdict in entry.verdicts}
    return ", ".join(f"{told} of {name}" for name, v in verdicts.items() if (told := _taken(v)))


def _taken(verdict: JSON) -> str:
    if verdict["unit"] == Unit.ALL_INPUTS:
        return "all inputs"
    return count(len(verdict["seeds"]), "sample of the data", "samples of the data")


def _names(found: Sequence[Entry]) -> list[str]:
    rows = (v for entry in found for v in entry.verdicts)
    return list(dict.fromkeys(str(v["model"]) for v in rows if is_one_network(v)))


def _sentence(name: str, verdicts: Sequence[JSON]) -> str:
    start = f"One network was checked, {name}; its verdicts are about this network alone:"
    if any(verdict["unit"] == Unit.ALL_INPUTS for verdict in verdicts):
        return (
            f"{start} all its inputs were measured, so its numbers are exact and have no interval (numbers of SAEs are "
            f"exact for the SAEs that were trained on it)."
        )
    n = max((len(verdict["seeds"]) for verdict in verdicts), default=0)
    return (
        f"{start} they are judged over {n} disjoint samples of its prompts or documents, and their 90 % intervals "
        f"are over these samples."
    )
