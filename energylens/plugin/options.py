"""Command-line options and ini settings."""

from pathlib import Path

import pytest

from energylens.harness.compare.ledger import Mode
from energylens.run.options import PARTIAL_REPORTS, Options


def add_options(parser: pytest.Parser) -> None:
    """Declare the options, once per pytest process."""
    group = parser.getgroup("energylens", "executable claims")
    group.addoption(
        "--model", action="append", default=[], metavar="NAME=PATTERN",
        help="check your own checkpoints instead of the zoo: folders with model.safetensors and config.json; "
        "each match is one seed. Claims that speak of the config's task run on it",
    )  # fmt: skip
    group.addoption(
        "--seeds",
        type=_positive,
        metavar="N",
        help="take only the first N declared seeds; marks verdicts partial",
    )
    group.addoption(
        "--store", metavar="URL", help="artifact store: a folder or fsspec URL (default: the user's cache)"
    )
    group.addoption(
        "--ledger", type=Mode, default=Mode.CHECK, choices=list(Mode),
        help="check: a flipped verdict fails (default); strict: drift and edits fail too; update: record this "
        "run; ignore: judge only",
    )  # fmt: skip
    group.addoption(
        "--report-dir", type=Path, metavar="DIR",
        help=f"where results.json and the report go (default: reports/ after a complete run, {PARTIAL_REPORTS} "
        "after a partial one)",
    )  # fmt: skip
    parser.addini("energylens_claims", "folder with the claims", default="claims")
    parser.addini("energylens_ledger", "ledger of recorded verdicts", default="claims/ledger.toml")
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
    number = int(text)
    if number < 1:
        raise ValueError(f"--seeds needs at least 1, got {number}")
    return number
