"""One invented run, written once for all tests of the report."""

from pathlib import Path
from typing import Any

import pytest

from energylens.report import write_report
from energylens.tests.report.helpers.example import example_results, whole_report
from energylens.tests.report.helpers.large import large_results


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return example_results(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run with more than a hundred verdicts."""
    return large_results(tmp_path_factory.mktemp("large"))


@pytest.fixture(scope="session")
def report(results: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    write_report(results, folder)
    return folder


@pytest.fixture(scope="session")
def validation(report: Path) -> str:
    """All pages as one text."""
    return whole_report(report)
