"""Command-line options and ini settings of the pytest plugin."""

import argparse
from pathlib import Path

import pytest

from energylens.harness.compare.ledger import Mode
from energylens.run.options import PARTIAL_REPORTS, Options


def add_options(parser: pytest.Parser) -> None:
    """Declare the options, once per pytest process."""
    group = parser.getgroup("energylens", "executable claims")
    group.addoption(
        "--model", action="append", default=[], metavar="NAME=PATTERN",
        help="check your own checkpoints instead of the zoo: each folder that matches PATTERN is one seed and holds "
        "model.safetensors and config.json. Only claims about the task in config.json run",
    )  # fmt: skip
    group.addoption(
        "--seeds",
        type=_positive,
        metavar="N",
        help="measure only the first N declared seeds; verdicts are marked partial",
    )
    group.addoption(
        "--store", metavar="URL", help="artifact store: a folder or fsspec URL (default: the user's cache)"
    )
    group.addoption(
        "--ledger", type=Mode, default=Mode.CHECK, choices=list(Mode),
        help="check: a flipped verdict fails the run (default); strict: drift and edits fail it too; update: record "
        "the verdicts of this run; ignore: compare with no record",
    )  # fmt: skip
    group.addoption(
        "--report-dir", type=Path, metavar="DIR",
        help=f"folder for results.json and the report (default: reports/ after a complete run, {PARTIAL_REPORTS} "
        "after a partial one)",
    )  # fmt: skip
    parser.addini("energylens_claims", "folder that holds the claims", default="claims")
    parser.addini("energylens_ledger", "file that records the verdicts", default="claims/ledger.toml")
    parser.addini("energylens_reports", "folder for the report of a complete run", default="reports")


def read_options(config: pytest.Config) -> Options:
    """The options of this session, paths resolved against the root folder."""
    root = config.rootpath
    return Options(
        models=tuple(config.getoption("--model")),
        seeds=config.getoption("--seeds"),
        store=config.getoption("--store"),
        ledger=Mode(config.getoption("--ledger")),
        report_dir=config.getoption("--report-dir"),
        claims_folder=root / config.getini("energylens_claims"),
        ledger_path=root / config.getini("energylens_ledger"),
        reports_folder=root / config.getini("energylens_reports"),
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of seeds, 1 or more, received {text!r}")
    return int(text)
