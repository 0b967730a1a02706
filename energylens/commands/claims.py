"""The subcommands list, build and plan."""

import argparse
import sys
import time
from pathlib import Path

from energylens.commands.project import catalogue, needed, session_of

QUIET_SECONDS = 3
"""Seconds after which a search shows its progress."""


def list_claims(options: argparse.Namespace) -> int:
    """Print every claim with the words that its seeds can reach and its recorded verdict."""
    from tabulate import tabulate

    from energylens.harness.compare.ledger import read_ledger
    from energylens.harness.declare.cases import cases_of
    from energylens.harness.declare.decidable import words_decided

    if options.amended:
        return _list_amended(options)
    ledger = read_ledger(options.claims / "ledger.toml")
    rows = []
    for declared in catalogue(options.claims):
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
    headers = [
        "claim",
        "model",
        "variant",
        "region",
        "seeds",
        "HOLDS, REFUTED in reach",
        "tier",
        "recorded verdict",
    ]
    print(tabulate(rows, headers))
    return 0


def _list_amended(options: argparse.Namespace) -> int:
    from energylens.harness.compare.amendments import add_amendments
    from energylens.report.content.amendments import amendments_text
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


def build(options: argparse.Namespace) -> int:
    """Build the artifacts that claims need and the store lacks."""
    from energylens.run.needs import build_missing

    with session_of(options) as session:
        claims = [each.claim for each in session.declared.values()]
        chosen = [claim for claim in claims if claim.tier == options.tier and options.claim in claim.id]
        recipes, url = needed(session, chosen), session.store.url
        outcomes = build_missing(recipes, session.store, options.jobs, options.executor)
    failed = [(recipe, error) for recipe, error in outcomes if error]
    for recipe, error in failed:
        print(f"energylens: {recipe.label()} was not built: {error}", file=sys.stderr)
    print(f"{len(recipes) - len(failed)} of {len(recipes)} artifacts are in {url}")
    return 1 if failed else 0


def plan_seeds(options: argparse.Namespace) -> int:
    """Print how many seeds would decide a claim."""
    from energylens.harness.compare.plan import plan
    from energylens.harness.results import read_results
    from energylens.report.terminal.plan import plan_text

    rows = plan(read_results(options.results), options.claim, options.model, options.power)
    print(plan_text(rows, options.power))
    return 0
