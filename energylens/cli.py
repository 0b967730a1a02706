"""The `energylens` command: list claims, fill and look after the store, render reports and badges."""

import argparse
import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energylens.errors import EnergylensError
from energylens.harness.trust_file import TRUST_FILE
from energylens.trust.record import SECTIONS

if TYPE_CHECKING:
    from energylens.harness.declare.claim import Claim
    from energylens.run.session import Session

DESCRIPTION = """\
Executable claims for mechanistic interpretability.

Claims are pytest cases: `pytest claims/ -m cpu` measures, judges and reports them.
This command does what comes before and after: it shows what is declared and recorded,
trains networks and SAEs ahead of time, and renders a finished run again."""

EXAMPLES = """\
examples:
  energylens list                          claims and the verdicts we stand by
  energylens list --amended                edits of claims since the first ledger, and what they moved
  energylens build -j 2                    train everything the cpu claims need, two at a time
  energylens report                        render reports/results.json again
  energylens report --readme README.md     numbers and verdicts of the README, from the results it names
  energylens diff HEAD~1 HEAD              verdicts that changed, and what differs behind them
  energylens replicate HEAD there.json     the same findings on another machine
  energylens plan fourier.neurons          how many seeds would decide it
  energylens badge --claim fourier.groks   badge of one claim, as shields.io reads it
  energylens badge --all reports/badges    badges of all claims, for a website
  energylens store verify                  check every stored artifact against its checksum

exit status: 0 fine, 1 something is damaged or could not be built, 2 wrong usage."""

STDOUT = 1

QUIET_SECONDS = 3
"""What takes longer than this tells how far it has come."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status. Our own errors print one line, not a traceback."""
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
    """Exit status of the command, also where the reader of its output has seen enough (`energylens diff | head`).

    141, that of SIGPIPE, where the command could not finish because of that.
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
        "--amended", action="store_true", help="edits of declarations and measures that the git history holds"
    )
    listing.add_argument(
        "--to", type=Path, metavar="FILE", help="with --amended: add them to this file as well"
    )
    listing.set_defaults(run=_list)

    build = commands.add_parser("build", help="fill the store: train what the claims need")
    _claims_option(build)
    _store_option(build)
    build.add_argument("-j", "--jobs", type=int, metavar="N", help="processes (default: one per core)")
    build.add_argument("-k", "--claim", default="", metavar="TEXT", help="only claims whose id contains TEXT")
    build.add_argument("-m", "--tier", default="cpu", help="tier to build for (default: cpu)")
    build.set_defaults(run=_build)

    report = commands.add_parser("report", help="render a finished run again")
    _results_argument(report)
    report.add_argument("--to", type=Path, metavar="DIR", help="where to (default: beside results.json)")
    report.add_argument(
        "--readme",
        type=Path,
        metavar="FILE",
        help="render only this file's regions, from the results they name",
    )
    report.set_defaults(run=_report)

    compared = commands.add_parser("diff", help="what changed between two runs, and why it may have")
    for name in "AB":
        text = "results.json, or a git revision: its reports/results.json (REVISION:PATH for another file)"
        compared.add_argument(name.lower(), metavar=name, help=text if name == "A" else "the same")
    compared.set_defaults(run=_diff)

    replicated = commands.add_parser("replicate", help="do the findings come out the same on other machines?")
    replicated.add_argument("a", metavar="A", help="the run of record: results.json, or a git revision")
    replicated.add_argument("others", metavar="B", nargs="+", help="runs on other machines, named like A")
    replicated.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="keep a line per machine, as in reports/replications.jsonl",
    )
    replicated.add_argument(
        "--figure", type=Path, metavar="FILE", help="draw the distribution of z (.png, .svg)"
    )
    replicated.set_defaults(run=_replicate)

    badge = commands.add_parser("badge", help="print a badge: shields.io endpoint JSON, or SVG")
    _results_argument(badge)
    badge.add_argument("--claim", metavar="ID", help="badge of one claim (default: of all)")
    badge.add_argument("--svg", action="store_true", help="SVG instead of JSON")
    badge.add_argument(
        "--all", type=Path, metavar="DIR", help="write the badge of every claim, JSON and SVG, to this folder"
    )
    badge.set_defaults(run=_badge)

    planned = commands.add_parser("plan", help="how many seeds would decide a claim")
    planned.add_argument("claim", metavar="CLAIM", help="its id")
    planned.add_argument("--model", default="", metavar="NAME", help="only this model")
    planned.add_argument(
        "--results",
        type=Path,
        default=Path("reports/results.json"),
        metavar="FILE",
        help="(default: %(default)s)",
    )
    planned.add_argument(
        "--power",
        type=float,
        default=0.8,
        metavar="P",
        help="chance to decide that is wanted (default: %(default)s)",
    )
    planned.set_defaults(run=_plan)

    trust = commands.add_parser("trust", help="measure how far reports can be trusted; takes minutes")
    trust.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)} (default: all)"
    )
    trust.add_argument(
        "--to", type=Path, default=Path("reports") / TRUST_FILE, metavar="FILE", help="(default: %(default)s)"
    )
    trust.set_defaults(run=_trust)

    store = commands.add_parser("store", help="look after stored artifacts")
    actions = store.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, text in (
        ("ls", _store_ls, "list artifacts with size and age"),
        ("verify", _store_verify, "check every artifact; exit status 1 if one is damaged"),
        ("gc", _store_gc, "delete what no declared claim needs, damaged and stale files"),
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
        "--store", metavar="URL", help="folder or fsspec URL (default: $ENERGYLENS_STORE, or cache)"
    )


def _results_argument(parser: argparse.ArgumentParser) -> None:
    default = Path("reports/results.json")
    parser.add_argument("results", type=Path, nargs="?", default=default, help=f"(default: {default})")


def _list(options: argparse.Namespace) -> int:
    from tabulate import tabulate

    from energylens.harness.compare.ledger import read_ledger
    from energylens.harness.declare.cases import cases_of
    from energylens.harness.declare.decidable import words_decided

    if options.amended:
        return _list_amended(options)
    ledger = read_ledger(options.claims / "ledger.toml")
    rows = []
    for declared in _catalogue(options.claims):
        claim = declared.claim
        for case in cases_of(claim, dict.fromkeys(claim.models, ())):
            recorded = ledger.get(case.row, {})
            words = [recorded.get("verdict", "not recorded"), *recorded.get("qualifiers", [])]
            region = "; ".join(str(region) for region in claim.regions.values())
            rows.append(
                (
                    claim.id,
                    case.model,
                    case.variant,
                    region,
                    len(claim.seeds_of(case.model)),
                    words_decided(claim, case.model),
                    claim.tier,
                    ", ".join(words),
                )
            )
    headers = ["claim", "model", "variant", "region", "seeds", "decides", "tier", "recorded verdict"]
    print(tabulate(rows, headers))
    return 0


def _list_amended(options: argparse.Namespace) -> int:
    from energylens.harness.compare.amendments import add_amendments
    from energylens.report.amended import amendments_text
    from energylens.run.measured_code.edits import edits

    started, width = time.monotonic(), len("looked through 1000 of 1000 commits")

    def progress(done: int, of: int) -> None:
        if time.monotonic() - started > QUIET_SECONDS and sys.stderr.isatty():
            text = f"looked through {done} of {of} commits" if done < of else ""
            print(f"\r{text:{width}}", end="" if text else "\r", file=sys.stderr, flush=True)

    found = edits(Path.cwd(), (options.claims / "ledger.toml").as_posix(), progress)
    print(amendments_text(found))
    if options.to:
        print(f"{len(add_amendments(options.to, found))} edits in {options.to}")
    return 0


def _build(options: argparse.Namespace) -> int:
    from energylens.run.needs import build_missing

    with _session(options) as session:
        claims = [each.claim for each in session.declared.values()]
        chosen = [claim for claim in claims if claim.tier == options.tier and options.claim in claim.id]
        recipes, url = _needed(session, chosen), session.store.url
        failed = [
            (recipe, error) for recipe, error in build_missing(recipes, session.store, options.jobs) if error
        ]
    for recipe, error in failed:
        print(f"energylens: {recipe.label()} was not built: {error}", file=sys.stderr)
    print(f"{len(recipes) - len(failed)} of {len(recipes)} artifacts are in {url}")
    return 1 if failed else 0


def _report(options: argparse.Namespace) -> int:
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
    from energylens.report.readme import rewritten, sources

    if not path.is_file():
        raise InputError(f"{path} is no file; name a Markdown file with regions to render")
    text = path.read_text(encoding="utf-8")
    if not (named := sources(text)):
        raise InputError(
            f"{path} has no region to render: energylens.report.readme tells how one begins and ends"
        )
    path.write_text(rewritten(text, lambda source: read_results(path.parent / source)), encoding="utf-8")
    print(f"{path} tells what {', '.join(named)} hold{'s' if len(named) == 1 else ''}")
    return 0


def _diff(options: argparse.Namespace) -> int:
    from energylens.harness.compare.diff import diff
    from energylens.harness.compare.revision import results_of
    from energylens.report.changes import changes_text

    old, new = results_of(options.a), results_of(options.b)
    print(changes_text(diff(old, new), (options.a, options.b), (old, new)))
    return 0


def _replicate(options: argparse.Namespace) -> int:
    from energylens.errors import InputError
    from energylens.harness.compare.replication import replicate
    from energylens.harness.compare.replications import record_replication, replication_line
    from energylens.harness.compare.revision import results_of
    from energylens.harness.json_values import replace_file
    from energylens.report.replication import replication_figure, replication_text
    from energylens.report.style import encode, styled

    if options.figure and options.figure.suffix not in (".png", ".svg"):
        raise InputError(f"a figure is .png or .svg, received {str(options.figure)!r}")
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


def _badge(options: argparse.Namespace) -> int:
    from energylens.harness.results import read_results
    from energylens.report import badge, badge_svg, write_badges

    if options.all:
        written = write_badges(read_results(options.results), options.all)
        print(f"{len(written)} files in {options.all}")
        return 0
    made = badge(read_results(options.results), options.claim)
    print(badge_svg(made) if options.svg else json.dumps(made, ensure_ascii=False))
    return 0


def _plan(options: argparse.Namespace) -> int:
    from energylens.harness.compare.plan import plan
    from energylens.harness.results import read_results
    from energylens.report.plan import plan_text

    rows = plan(read_results(options.results), options.claim, options.model, options.power)
    print(plan_text(rows, options.power))
    return 0


def _trust(options: argparse.Namespace) -> int:
    from energylens.errors import InputError
    from energylens.trust.record import measure_trust, record_trust

    if unknown := [name for name in options.sections if name not in SECTIONS]:
        raise InputError(f"no section {unknown[0]!r}; choose of {', '.join(SECTIONS)}")

    def told(text: str) -> None:
        print(f"  {text}", flush=True)

    for name in options.sections or SECTIONS:
        print(f"{name}: {SECTIONS[name]}", flush=True)
        section = record_trust(options.to, name, partial(measure_trust, name, told), Path.cwd())
        print(f"{name}: {section['seconds']:.0f} s, written to {options.to}")
    return 0


def _store_ls(options: argparse.Namespace) -> int:
    from tabulate import tabulate

    store = _open(options)
    entries = sorted(store.ls(), key=lambda entry: (entry.kind, entry.label, entry.created))
    rows = [(e.kind, e.label, f"{e.bytes / 2**20:.1f}", e.created, e.key[:12]) for e in entries]
    print(tabulate(rows, ["kind", "artifact", "MiB", "created", "key"]))
    print(f"{len(entries)} artifacts, {sum(e.bytes for e in entries) / 2**20:.1f} MiB in {store.url}")
    return 0


def _store_verify(options: argparse.Namespace) -> int:
    checked = _open(options).verify()
    damaged = [each for each in checked if each.problem]
    for each in damaged:
        print(f"{each.folder}: {each.problem}")
    print(f"{len(checked) - len(damaged)} sound, {len(damaged)} damaged")
    return 1 if damaged else 0


def _store_gc(options: argparse.Namespace) -> int:
    from energylens.store import key_of

    with _session(options) as session:
        recipes = _needed(session, [each.claim for each in session.declared.values()])
    wanted = {key_of(needed) for recipe in recipes for needed in (recipe, *recipe.inputs())}
    removed = session.store.gc(wanted)
    print(f"removed {len(removed)} folders, {sum(each.bytes for each in removed) / 2**20:.1f} MiB")
    return 0


def _catalogue(folder: Path) -> list[Any]:
    from energylens.errors import InputError
    from energylens.harness.declare.catalogue import load_claims

    if not folder.is_dir():
        raise InputError(f"no folder {folder}; name the folder of claims with --claims")
    return list(load_claims(folder).values())


def _open(options: argparse.Namespace) -> Any:
    from energylens.store import Store

    return Store(options.store)


@contextmanager
def _session(options: argparse.Namespace) -> Iterator["Session"]:
    """A run of the claims in --claims on the store of --store, for the time of a command."""
    from dataclasses import replace
    from tempfile import TemporaryDirectory

    from energylens.plugin.project import project_of
    from energylens.run.session import Session

    known = {declared.claim.id: declared for declared in _catalogue(options.claims)}
    project, asked, root = project_of(options.claims)
    asked = replace(asked, claims_folder=options.claims.resolve(), store=options.store)
    with TemporaryDirectory() as folder:
        yield Session(asked, root, Path(folder), project, known)


def _needed(session: "Session", claims: Iterable["Claim"]) -> list[Any]:
    """The recipes that these claims need, at all their seeds."""
    from energylens.harness.declare.cases import cases_of
    from energylens.run.needs import recipes_needed

    cases = [case for claim in claims for case in cases_of(claim, session.seeds_by_model(claim))]
    return list(recipes_needed(session, cases))


if __name__ == "__main__":
    raise SystemExit(main())
