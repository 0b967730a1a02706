"""The `energylens` command: lists claims, fills and checks the store, renders reports and badges."""

import argparse
import os
import select
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from energylens.commands import claims, reports, store
from energylens.errors import EnergylensError
from energylens.harness.trust_file import TRUST_FILE
from energylens.trust.record import SECTIONS

if TYPE_CHECKING:
    pass

DESCRIPTION = """\
Executable claims for mechanistic interpretability.

Claims are pytest cases: `pytest claims/ -m cpu` measures, judges and reports them.
This command does what comes before and after: it shows what is declared and recorded,
trains networks and SAEs ahead of time, and renders a finished run again."""

EXAMPLES = """\
examples:
  energylens list                          claims and the verdicts we stand by
  energylens list --amended                edits of claims since the first ledger, and the numbers they moved
  energylens build -j 2                    train all that claims of the tier cpu need, in two processes
  energylens report                        render reports/results.json again
  energylens report --readme README.md     render numbers and verdicts of the README, from the results it names
  energylens diff HEAD~1 HEAD              verdicts that changed, and possible causes
  energylens replicate HEAD there.json     compare a run on another machine with the committed one
  energylens plan fourier.neurons          how many seeds would decide this claim
  energylens badge --claim fourier.groks   badge of one claim, as shields.io reads it
  energylens badge --all reports/badges    badges of all claims, for a website
  energylens store verify                  check every stored artifact against its checksum

exit status: 0 success, 1 an error, or an artifact that is damaged or could not be built, 2 wrong usage."""

STDOUT = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status. Errors of energylens print one line, not a traceback."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return _heard(run, options)
    except EnergylensError as error:
        print(f"energylens: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("energylens: interrupted; finished artifacts are kept, run again to go on", file=sys.stderr)
        return 130


def _heard(run: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Exit status of the command, also where the reader of its output stops reading (`energylens diff | head`).

    141, the status of SIGPIPE, where the command could not finish for that reason.
    """
    status = 141
    try:
        status = run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        if not _nobody_reads(STDOUT):
            raise  # another pipe than that of the output
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
    return status


def _nobody_reads(pipe: int) -> bool:
    poll = select.poll()
    poll.register(pipe, select.POLLOUT)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "energylens",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    listing = commands.add_parser("list", help="claims and their recorded verdicts")
    _claims_option(listing)
    listing.add_argument(
        "--amended",
        action="store_true",
        help="edits of declarations and of measuring code, found in the git history",
    )
    listing.add_argument(
        "--to", type=Path, metavar="FILE", help="with --amended: also append new edits to FILE"
    )
    listing.set_defaults(run=claims.list_claims)

    build = commands.add_parser("build", help="train the networks and SAEs that claims need, into the store")
    _claims_option(build)
    _store_option(build)
    build.add_argument("-j", "--jobs", type=int, metavar="N", help="processes (default: one per core)")
    build.add_argument(
        "--executor", default="local", metavar="NAME", help="who builds (default: %(default)s)"
    )
    build.add_argument("-k", "--claim", default="", metavar="TEXT", help="only claims whose id contains TEXT")
    build.add_argument("-m", "--tier", default="cpu", help="only claims of this tier (default: cpu)")
    build.set_defaults(run=claims.build)

    rendered = commands.add_parser("report", help="render a finished run again")
    _results_argument(rendered)
    rendered.add_argument(
        "--to", type=Path, metavar="DIR", help="folder to write to (default: beside results.json)"
    )
    rendered.add_argument(
        "--readme",
        type=Path,
        metavar="FILE",
        help="render only the marked regions of FILE, from the results that each region names",
    )
    rendered.set_defaults(run=reports.report)

    compared = commands.add_parser("diff", help="verdicts that changed between two runs, and possible causes")
    for name in "AB":
        text = "a results.json, or a git revision with reports/results.json (REVISION:PATH for another file)"
        compared.add_argument(
            name.lower(), metavar=name, help=text if name == "A" else "the later run, like A"
        )
    compared.set_defaults(run=reports.diff_runs)

    replicated = commands.add_parser(
        "replicate", help="compare runs on other machines with the run of record"
    )
    replicated.add_argument("a", metavar="A", help="the run of record: a results.json, or a git revision")
    replicated.add_argument("others", metavar="B", nargs="+", help="runs on other machines, named like A")
    replicated.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="store a line per machine in FILE, as in reports/replications.jsonl",
    )
    replicated.add_argument(
        "--figure",
        type=Path,
        metavar="FILE",
        help="draw the distribution of z, differences in standard errors (.png, .svg)",
    )
    replicated.set_defaults(run=reports.replicate_run)

    badge = commands.add_parser("badge", help="print a badge: shields.io endpoint JSON, or SVG")
    _results_argument(badge)
    badge.add_argument(
        "--claim", metavar="ID", help="badge of one claim (default: one badge that counts all)"
    )
    badge.add_argument("--svg", action="store_true", help="SVG instead of JSON")
    badge.add_argument(
        "--all", type=Path, metavar="DIR", help="write the badge of every claim, JSON and SVG, to this folder"
    )
    badge.set_defaults(run=reports.print_badge)

    planned = commands.add_parser("plan", help="how many seeds would decide a claim")
    planned.add_argument("claim", metavar="CLAIM", help="id of the claim")
    planned.add_argument("--model", default="", metavar="NAME", help="only this model")
    planned.add_argument(
        "--results",
        type=Path,
        default=Path("reports/results.json"),
        metavar="FILE",
        help="results of the run to plan from (default: %(default)s)",
    )
    planned.add_argument(
        "--power",
        type=float,
        default=0.8,
        metavar="P",
        help="wanted probability of a decision (default: %(default)s)",
    )
    planned.set_defaults(run=claims.plan_seeds)

    trust = commands.add_parser("trust", help="measure how far reports can be trusted; takes minutes")
    trust.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"any of {', '.join(SECTIONS)} (default: all)"
    )
    trust.add_argument(
        "--to",
        type=Path,
        default=Path("reports") / TRUST_FILE,
        metavar="FILE",
        help="file to write (default: %(default)s)",
    )
    trust.set_defaults(run=reports.measure_sections)

    stored = commands.add_parser("store", help="list, check or delete stored artifacts")
    actions = stored.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, text in (
        ("ls", store.list_artifacts, "list artifacts with size and age"),
        ("verify", store.verify, "check every artifact; exit status 1 if one is damaged"),
        (
            "gc",
            store.collect_garbage,
            "delete artifacts that no declared claim needs, and damaged or stale files",
        ),
    ):
        action = actions.add_parser(name, help=text, description=text)
        _store_option(action)
        if name == "gc":
            _claims_option(action)
        action.set_defaults(run=run)
    return parser


def _claims_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--claims",
        type=Path,
        default=Path("claims"),
        metavar="DIR",
        help="folder of claims (default: claims)",
    )


def _store_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store",
        metavar="URL",
        help="folder or fsspec URL (default: $ENERGYLENS_STORE, or the user's cache)",
    )


def _results_argument(parser: argparse.ArgumentParser) -> None:
    default = Path("reports/results.json")
    parser.add_argument(
        "results", type=Path, nargs="?", default=default, help=f"a results.json (default: {default})"
    )


if __name__ == "__main__":
    raise SystemExit(main())
