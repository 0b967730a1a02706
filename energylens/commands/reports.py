"""The subcommands report, diff, replicate, badge and trust."""

import argparse
import json
from functools import partial
from pathlib import Path


def report(options: argparse.Namespace) -> int:
    """Render a finished run again, or the regions of a README."""
    if options.readme:
        return _readme(options.readme)
    from energylens.harness.compare.amendments import AMENDMENTS, read_amendments
    from energylens.harness.compare.history import HISTORY, read_history
    from energylens.harness.results import read_results, write_results
    from energylens.harness.trust_file import read_sections
    from energylens.report import write_report

    folder = options.to or options.results.parent
    beside = options.results.parent
    history, trust = read_history(beside / HISTORY), read_sections(beside)
    amendments = read_amendments(beside / AMENDMENTS)
    results = read_results(options.results)
    if folder == beside:
        write_results(options.results, results)
    written = write_report(results, folder, history, trust, amendments)
    print(f"{len(written)} files in {folder}")
    return 0


def _readme(path: Path) -> int:
    from energylens.errors import InputError
    from energylens.harness.results import read_results
    from energylens.report.markdown.readme import rewritten, sources

    if not path.is_file():
        raise InputError(f"--readme {path} is no file; name a Markdown file with regions to render")
    text = path.read_text(encoding="utf-8")
    if not (named := sources(text)):
        raise InputError(
            f"{path} has no region to render: a region begins with a line `<!-- told: reports/results.json`, as "
            f"the docstring of energylens.report.markdown.readme shows"
        )
    path.write_text(rewritten(text, lambda source: read_results(path.parent / source)), encoding="utf-8")
    print(f"{path} is rendered from {', '.join(named)}")
    return 0


def diff_runs(options: argparse.Namespace) -> int:
    """Print the verdicts that changed between two runs."""
    from energylens.harness.compare.diff import diff
    from energylens.harness.compare.revision import results_of
    from energylens.report.terminal.changes import changes_text

    old, new = results_of(options.a), results_of(options.b)
    print(changes_text(diff(old, new), (options.a, options.b), (old, new)))
    return 0


def replicate_run(options: argparse.Namespace) -> int:
    """Compare runs on other machines with the run of record."""
    from energylens.errors import InputError
    from energylens.harness.compare.replication import replicate
    from energylens.harness.compare.replications import record_replication, replication_line
    from energylens.harness.compare.revision import results_of
    from energylens.harness.json_values import replace_file
    from energylens.report.content.replication import replication_text
    from energylens.report.figures.replication import replication_figure
    from energylens.report.figures.style import encode, styled

    if options.figure and options.figure.suffix not in (".png", ".svg"):
        raise InputError(f"--figure must end in .png or .svg, received {str(options.figure)!r}")
    names = [options.a, *options.others]
    here, *there = map(results_of, names)
    found = [replicate(here, each) for each in there]
    print(replication_text(found, names))
    lines = [replication_line(each) for each in found]
    if options.record:
        for line in lines:
            record_replication(options.record, line)
    if options.figure:
        with styled():
            replace_file(options.figure, encode(replication_figure(lines))[options.figure.suffix[1:]])
    return 0


def print_badge(options: argparse.Namespace) -> int:
    """Print one badge, or write those of all claims."""
    from energylens.harness.results import read_results
    from energylens.report import badge, badge_svg, write_badges

    if options.all:
        written = write_badges(read_results(options.results), options.all)
        print(f"{len(written)} files in {options.all}")
        return 0
    made = badge(read_results(options.results), options.claim)
    print(badge_svg(made) if options.svg else json.dumps(made, ensure_ascii=False))
    return 0


def measure_sections(options: argparse.Namespace) -> int:
    """Measure sections of trust.json."""
    from energylens.errors import InputError
    from energylens.trust.record import SECTIONS, measure_trust, record_trust

    if unknown := [name for name in options.sections if name not in SECTIONS]:
        raise InputError(f"there is no section {unknown[0]!r}; choose from {', '.join(SECTIONS)}")

    def told(text: str) -> None:
        print(f"  {text}", flush=True)

    for name in options.sections or SECTIONS:
        print(f"{name}: {SECTIONS[name]}", flush=True)
        section = record_trust(options.to, name, partial(measure_trust, name, told), Path.cwd())
        print(f"{name}: {section['seconds']:.0f} s, written to {options.to}")
    return 0
