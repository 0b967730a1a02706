"""Comparison of runs on several machines: as text for a terminal, and as tables of the report."""

import math
from collections.abc import Iterator, Sequence

from energylens.harness.compare.replication import FAR, NOTABLE, Replication, by_family, share_beyond
from energylens.harness.compare.replications import replication_line, share_notable
from energylens.report.content.entries import JSON
from energylens.report.content.readable import DASH, Md, bold, clean, count, markdown, number, table

REPLICATION_FIGURE = "trust_replication"

NORMAL_BEYOND = math.erfc(NOTABLE / math.sqrt(2))
"""Share of normal z beyond NOTABLE."""

_OF_SEEDS = (
    "r of seeds is the correlation between the values of the same seeds on both machines (median over estimates). "
    "Networks of one seed start from the same weights and see the same data: where r is large the runs are not "
    "independent, and z varies less than a normal variable. Rows whose declaration differs, and estimates without a "
    "standard error, are left out."
)


def replication_text(found: Sequence[Replication], names: Sequence[str]) -> str:
    """What `energylens replicate` prints. names: names of the runs, the run of record first."""
    from tabulate import tabulate

    told = [f"run of record: {names[0]}, {found[0].against}"]
    for each, name in zip(found, names[1:], strict=True):
        told += ["", f"{name}: {each.machine}", *sentences(replication_line(each))]
        rows = [
            [family, len(parts), number(share_beyond(part.z for part in parts if not math.isnan(part.z)), 2),
             number(max((abs(part.z) for part in parts if not math.isnan(part.z)), default=math.nan), 3)]
            for family, parts in by_family(each.parts).items()
        ]  # fmt: skip
        told.append(tabulate(rows, ["family", "estimates", f"|z| > {NOTABLE:g}", "largest |z|"]))
        told += [f"does not replicate: {_row_text(row)}" for row in replication_line(each)["not_replicated"]]
        told += [f"differs: {_row_text(row)}" for row in replication_line(each)["differs"]]
    return "\n".join(clean(line) if "\n" not in line else line for line in told)


def replication_blocks(lines: Sequence[JSON]) -> Iterator[Md]:
    """The report's tables and sentences on runs on other machines."""
    yield markdown(
        "On another processor the same seed trains another network, so that a run there is a replication. "
        "z is the difference of two estimates in standard errors; of normally distributed z "
        f"{100 * NORMAL_BEYOND:.1f} % lie beyond ±{NOTABLE:g}, and beyond ±{FAR:g} an estimate does not replicate."
    )
    yield markdown(f"The run of record was made on {lines[0]['against']}.")
    rows = [
        [line["machine"], line["at"][:10], f"{line['same']} of {line['verdicts']}", len(line["z"]),
         f"{100 * share_notable(line):.1f} %", _r_of_seeds(line), bold(str(len(line["not_replicated"])))]
        for line in lines
    ]  # fmt: skip
    headers = [
        "machine",
        "run",
        "verdicts with the same word",
        "estimates compared",
        f"z beyond ±{NOTABLE:g}",
        "r of seeds",
        "estimates that do not replicate",
    ]
    yield table(headers, rows, keep=7)
    yield markdown(_OF_SEEDS)
    for title, name in (
        ("Estimates that do not replicate", "not_replicated"),
        ("Verdicts with another word", "differs"),
    ):
        for line in lines:
            if told := [f"- {markdown(_row_text(row))}" for row in line[name]]:
                yield Md(f"{title}, {markdown(line['machine'])}:\n\n" + "\n".join(told))


def _r_of_seeds(line: JSON) -> str:
    r = float(line.get("correlation", "nan"))
    return DASH if math.isnan(r) else n(r)


def sentences(line: JSON) -> Iterator[str]:
    """Sentences on how a run on another machine compares; the last counts verdicts and estimates."""
    verdicts, estimates = count(line["verdicts"], "verdict"), count(len(line["z"]), "estimate")
    if (r := _r_of_seeds(line)) != DASH:
        yield f"values of the same seed correlate with r = {r} (median over estimates)"
    yield (
        f"{line['same']} of {verdicts} have the same word; of {estimates} {100 * share_notable(line):.1f} % lie beyond "
        f"±{NOTABLE:g} standard errors ({100 * NORMAL_BEYOND:.1f} % of normal ones do), {len(line['not_replicated'])} "
        f"beyond ±{FAR:g}"
    )


def _row_text(row: JSON) -> str:
    here, there = (f"{n(v[0])} [{n(v[1])}, {n(v[2])}]" for v in (row["here"], row["there"]))
    first, second = row["words"]
    word = first if first == second else f"{first} -> {second}"
    return f"{row['row']}: {word}, {here} -> {there}, z = {n(row['z'][0])}"


def n(value: float | str) -> str:
    """Three significant digits."""
    return number(float(value), 3)
