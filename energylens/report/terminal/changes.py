"""Changes between two runs, as text for a terminal: a table of verdicts, and below it the possible causes."""

from collections import Counter
from collections.abc import Iterator, Sequence

from energylens.harness.compare.causes import Cause, Kind
from energylens.harness.compare.diff import Change, Status
from energylens.report.content.entries import JSON, part_of, place
from energylens.report.content.readable import DASH, clean, count, number
from energylens.report.content.sentences import verdict_text

NAMED = 3
"""Largest number of rows or artifacts that a cause names one by one."""

_SILENT = (Status.SAME, Status.NOT_SELECTED)
_FEWEST_DIGITS, _MOST_DIGITS = 3, 6


def changes_text(changes: Sequence[Change], names: tuple[str, str], runs: tuple[JSON, JSON]) -> str:
    """Tables of changes, and a last line with counts. names: what the user called the two runs; runs: their results."""
    shown = [change for change in changes if change.status not in _SILENT]
    heads = [f"{letter}: {_run(name, run)}" for letter, name, run in zip("AB", names, runs, strict=True)]
    tables = [_verdicts(shown), _causes(shown)] if shown else []
    return "\n\n".join(["\n".join(heads), *filter(None, tables), _counted(changes)])


def _run(name: str, run: JSON) -> str:
    made = run["provenance"]
    commit = f"commit {made['commit'][:9]}" if made["commit"] else "no commit"
    started = run.get("started", "")
    told = [f"measured {started[:16].replace('T', ' ')} UTC"] if started else []
    told.append(commit + (", edited" if made["dirty"] else ""))
    return clean("; ".join([name, *told, *([] if run.get("complete") else ["not a full run"])]))


def _counted(changes: Sequence[Change]) -> str:
    counts = Counter(change.status for change in changes)
    told = [f"{counts[status]} {status}" for status in Status if counts[status]]
    return f"{count(len(changes), 'verdict')}: {', '.join(told)}" if changes else "no verdicts"


def _verdicts(shown: Sequence[Change]) -> str:
    from tabulate import tabulate

    rows = [row for change in shown for row in _rows(change)]
    return tabulate(
        rows, ["claim", "model", "part", "A", "B", "change", "possible causes"], disable_numparse=True
    )


def _rows(change: Change) -> Iterator[list[str]]:
    """One line for a verdict; for a claim of several parts, below it one line for every part that changed."""
    row = {"model": change.model, "variant": change.variant}
    kinds = ", ".join(dict.fromkeys(cause.kind for cause in change.causes))
    words = [verdict_text(verdict) if verdict else "" for verdict in (change.old, change.new)]
    names = dict.fromkeys(part["part"] for v in (change.old, change.new) if v for part in v["parts"])
    parts = {
        name: tuple(part_of(v["parts"], name) if v else None for v in (change.old, change.new))
        for name in names
    }
    head = [clean(change.claim), clean(place(row))]
    if len(parts) == 1:
        numbers = _numbers(*next(iter(parts.values())))
        cells = [clean(f"{word} {text}") for word, text in zip(words, numbers, strict=True)]
        yield [*head, "", *cells, change.status, kinds]
        return
    yield [*head, "", *map(clean, words), change.status, kinds]
    for name, (old, new) in parts.items():
        before, after = _numbers(old, new)
        if before != after or (old and new and old["word"] != new["word"]):
            yield ["", "", clean(name), f"{_word(old)} {before}", f"{_word(new)} {after}", "", ""]


def _word(part: JSON | None) -> str:
    return str(part["word"]) if part else ""


def _numbers(old: JSON | None, new: JSON | None) -> tuple[str, str]:
    """Estimate and interval of both, with the fewest digits that tell them apart."""
    for digits in range(_FEWEST_DIGITS, _MOST_DIGITS + 1):
        texts = _interval(old, digits), _interval(new, digits)
        if texts[0] != texts[1]:
            return texts
    return _interval(old, _FEWEST_DIGITS), _interval(new, _FEWEST_DIGITS)


def _interval(part: JSON | None, digits: int) -> str:
    if part is None:
        return DASH
    estimate, low, high = (number(part[name], digits) for name in ("estimate", "low", "high"))
    return f"{estimate} [{low}, {high}]"


def _causes(shown: Sequence[Change]) -> str:
    """Every possible cause once, with the artifacts and verdicts that it concerns."""
    found: dict[Cause, list[str]] = {}
    for change in shown:
        row = " ".join(filter(None, (change.claim, change.model, change.variant)))
        for cause in change.causes:
            found.setdefault(cause, []).append(row)
    lines = [] if not found else ["What differs:"]
    for cause in sorted(found, key=lambda cause: list(Kind).index(cause.kind)):
        made = f" ({_few(cause.where, 'artifact')})" if cause.where else ""
        lines.append(f"  {cause.kind:13} {clean(cause.detail)}{made}")
        everywhere = len(shown) > 1 and len(found[cause]) == len(shown)
        concerned = f"all {len(shown)} verdicts above" if everywhere else _few(found[cause], "verdict")
        lines.append(f"  {'':13} concerns {concerned}")
    return "\n".join(lines)


def _few(labels: Sequence[str], what: str) -> str:
    """All labels, or their number and the first few."""
    text = clean("; ".join(labels[:NAMED]))
    return text if len(labels) <= NAMED else f"{count(len(labels), what)}: {text}; …"
