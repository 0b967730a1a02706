"""The pictures of a page, each with its path from the page and its alternative text."""

from collections.abc import Mapping, Sequence

from energylens.report.content.counted import tally
from energylens.report.content.entries import Entry, families, forest_name, history_name
from energylens.report.content.headline import first_line
from energylens.report.content.readable import Md, label
from energylens.report.content.replication import REPLICATION_FIGURE
from energylens.report.content.trust import TRUST_FIGURE
from energylens.report.content.verdict_rows import lines_of

Picture = Mapping[str, str]

_SEEDS_DRAWN = {
    "distribution": "for each model, all seeds pooled",
    "text": "for each model, first seed",
}

_OF_TRUST = {
    "calibration": (TRUST_FIGURE, "How often a true effect is decided, by its size and the number of seeds"),
    "replication": (
        REPLICATION_FIGURE,
        "Differences to the run of record in standard errors, machine by machine",
    ),
}


def pictures_of(entry: Entry, drawn: set[str]) -> list[Picture]:
    """Pictures of a claim's estimates, and of the figure that it declares. drawn: names of the pictures that exist."""
    texts = {f"{entry.id}_estimates": _estimates(entry)}
    if entry.claim["figure"]:
        seeds = _SEEDS_DRAWN.get(entry.claim["figure"]["kind"], "for each model and seed")
        texts[f"{entry.id}_series"] = f"{entry.claim['figure']['title']}, {seeds}"
    return _existing(texts, drawn)


def forests(found: Sequence[Entry], drawn: set[str]) -> list[Picture]:
    """Pictures of the estimates of every family of claims."""
    told = "Estimates, 90 % intervals and regions of the family"
    texts = {
        forest_name(name): f"{told} {name}; {': '.join(first_line(members))}"
        for name, members in families(found).items()
    }
    return _existing(texts, drawn)


def histories(found: Sequence[Entry], drawn: set[str]) -> list[Picture]:
    """Pictures of the estimates of every family of claims over time."""
    texts = {
        history_name(family): f"Estimates of the family {family} over all full runs"
        for family in families(found)
    }
    return _existing(texts, drawn)


def trust_pictures(drawn: set[str]) -> dict[str, list[Picture]]:
    """Pictures on trust in the harness, by section."""
    return {section: _existing(dict([named]), drawn) for section, named in _OF_TRUST.items()}


def _existing(texts: Mapping[str, str], drawn: set[str]) -> list[Picture]:
    return [
        {"path": Md(f"../figures/{name}.svg"), "alt": label(alt)}
        for name, alt in texts.items()
        if name in drawn
    ]


def _estimates(entry: Entry) -> str:
    if entry.is_many:
        return f"Estimates of {entry.id}, {'; '.join(told for _, told in tally(entry.verdicts))}"
    shown = [line for line in lines_of(entry) if line.estimate]
    told = [f"{line.model} {line.estimate} against {line.region}: {line.word}" for line in shown]
    return f"Estimates of {entry.id}. {'; '.join(told)}"
