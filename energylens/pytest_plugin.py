"""The pytest plugin: `pytest claims/` measures and judges every declared claim.

This module has hooks and fixtures only; their work is done in `energylens.plugin` and `energylens.run`.
"""

import shutil
import tempfile
import time
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from energylens.errors import DeclarationError, EnergylensError, InputError
from energylens.harness.declare.cases import Case
from energylens.harness.declare.catalogue import Declared
from energylens.harness.declare.claim import TIERS, Claim, claim_of
from energylens.harness.declare.measurement import Unavailable
from energylens.harness.json_values import plain
from energylens.harness.one_network import word_of
from energylens.plugin import hookspecs, zoo_hooks
from energylens.plugin.items import calling, case_of, note_code, prebuild, selected
from energylens.plugin.options import add_options, read_options
from energylens.plugin.outcome import MEASURED, Outcome, attach, status_of
from energylens.plugin.project import HookedProject
from energylens.plugin.stash import SESSION
from energylens.plugin.undecidable import warn_undecidable
from energylens.plugin.workers import scheduler, selected_by
from energylens.run.measure import Measurer, record
from energylens.run.session import Session

if TYPE_CHECKING:
    pass

STARTED = pytest.StashKey[float]()
OUTCOME = pytest.StashKey[dict[str, Any]]()
BUILT = pytest.StashKey[bool]()
FINISHED = pytest.StashKey["Finished"]()


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspecs)
    pluginmanager.register(zoo_hooks, zoo_hooks.__name__)


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    for tier in TIERS:
        config.addinivalue_line("markers", f"{tier}: claims of the {tier} tier")
    worker = getattr(config, "workerinput", None)
    fresh = Path(tempfile.gettempdir(), f"energylens-run-{uuid.uuid4().hex}")
    config.stash[STARTED] = time.time()
    run_path = Path(worker["energylens_run"]) if worker else fresh
    project = HookedProject(config)
    claims = config.stash[SESSION] = Session(read_options(config), config.rootpath, run_path, project)
    try:
        claims.own_checkpoints  # noqa: B018 - read now, so that a bad checkpoint is said once
    except InputError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give every xdist worker the run folder of this process."""
    node.workerinput["energylens_run"] = str(node.config.stash[SESSION].run_path)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and SESSION in config.stash:
        shutil.rmtree(config.stash[SESSION].run_path, ignore_errors=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One pytest case per measurement and verdict of a claim."""
    claim = claim_of(metafunc.function)
    if claim is None:
        return
    try:
        _refuse_xfail(metafunc, claim)
        cases = metafunc.config.stash[SESSION].declare(Declared(claim, metafunc.function))
    except EnergylensError as error:
        raise pytest.Collector.CollectError(str(error)) from None
    if claim.extends and not _asked_for_full_size(metafunc.config):
        cases = []
    if "claim_case" not in metafunc.fixturenames:
        metafunc.fixturenames.append("claim_case")
    marked = [pytest.param(case, id=case.id, marks=getattr(pytest.mark, claim.tier)) for case in cases]
    metafunc.parametrize("claim_case", marked, indirect=True)


def _asked_for_full_size(config: pytest.Config) -> bool:
    """Whether -m, -k or a node id says `full`: claims at full size run for hours, so they are collected only then."""
    return any("full" in text for text in (config.option.markexpr, config.option.keyword, *config.args))


def _refuse_xfail(metafunc: pytest.Metafunc, claim: Claim) -> None:
    """Refuse claims marked xfail, which would turn any exception, such as an out-of-memory error, into a pass."""
    if any(mark.name == "xfail" for mark in metafunc.definition.iter_markers()):
        raise DeclarationError(
            f"claim {claim.id!r} in {claim.where}: a claim can't be marked xfail; record its verdict in the ledger"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Drop the placeholders that pytest makes for claims of which this session collects no case."""
    items[:] = [item for item in items if claim_of(getattr(item, "obj", None)) is None or case_of(item)]


def pytest_itemcollected(item: pytest.Item) -> None:
    case = case_of(item)
    if case:
        item.extra_keyword_matches.add(case.claim.id)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Check the declarations in the process that hands work to xdist's workers, which collects nothing itself."""
    if getattr(session.config.option, "tx", None) and not hasattr(session.config, "workerinput"):
        _check_declarations(session.config)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput") and session.config.stash[SESSION].declared:
        _check_declarations(session.config)
        claims = session.config.stash[SESSION]
        warn_undecidable(session.config, claims, selected(session.items))


def _check_declarations(config: pytest.Config) -> None:
    """Check all declarations before the run, also of claims that were not collected: they may be gates."""
    try:
        config.stash[SESSION].declare_rest()
        config.stash[SESSION].check_gates()
        config.stash[SESSION].history  # noqa: B018 - read now: a damaged file is said before the run
    except Exception as error:
        raise pytest.UsageError(f"{type(error).__name__}: {error}") from error


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return scheduler(config, log, config.stash[SESSION])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """Warn of undecidable claims and build artifacts, with progress bars, before xdist hands out the first case."""
    config: pytest.Config = node.config
    if not config.stash.get(BUILT, False) and not config.option.collectonly:
        config.stash[BUILT] = True
        wanted = list(selected_by(config.stash[SESSION], ids))
        if wanted:
            warn_undecidable(config, config.stash[SESSION], wanted)
            prebuild(config, config.stash[SESSION], wanted)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Record the code that the selected cases will run, and build the artifacts that they need, with progress bars."""
    config = session.config
    claims = config.stash[SESSION]
    wanted = selected(session.items)
    if wanted and not config.option.collectonly and not session.testsfailed:
        note_code(session.items, claims, ours=__name__)
        if "workerinput" not in vars(config):
            prebuild(config, config.stash[SESSION], wanted)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    case = case_of(pyfuncitem)
    if case is None:
        return None
    session = pyfuncitem.config.stash[SESSION]
    measurer = Measurer(session, pyfuncitem._request.getfixturevalue, calling)
    if case.seed is None:
        _judge(pyfuncitem, session, measurer, case)
    else:
        _measure(pyfuncitem, measurer, case)
    return True


def _measure(item: pytest.Function, measurer: Measurer, case: Case) -> None:
    try:
        measurer.measure(case, item.obj)
    except Unavailable as reason:
        pytest.skip(f"NOT RUN: {reason}")
    item.stash[OUTCOME] = {"word": MEASURED}


def _judge(item: pytest.Function, session: Session, measurer: Measurer, case: Case) -> None:
    verdict = measurer.verdict(case, item.obj)
    comparison = record(session, verdict, case)
    item.stash[OUTCOME] = {
        "word": str(verdict.word), "told": word_of(plain(verdict)), "qualifiers": list(verdict.qualifiers),
        "status": str(comparison.status),
    }  # fmt: skip
    if comparison.red:
        pytest.fail(comparison.message, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    case = case_of(item)
    if case is None:
        return report
    outcome = item.stash.get(OUTCOME, None)
    if report.when == "call" and outcome is not None:
        attach(report, outcome)
    elif report.failed:
        attach(report, {"error": True})
        error = {
            "row": case.row,
            "message": str(call.excinfo.value if call.excinfo else ""),
            "text": report.longreprtext,
        }
        item.config.stash[SESSION].run.record_note("error", f"{case.claim.id}[{case.id}]", error)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> Outcome | None:
    return status_of(report)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write results.json, the report and, if asked, the ledger; in the process that shows the terminal."""
    config = session.config
    claims = config.stash[SESSION]
    if hasattr(config, "workerinput") or config.option.collectonly or not claims.run_path.exists():
        return
    from energylens.run.finish import finish

    selection = {
        "markers": config.option.markexpr, "keywords": config.option.keyword,
        "paths": [_from_root(config, str(argument)) for argument in config.args],
    }  # fmt: skip
    found = finish(claims, selection, config.stash[STARTED], exitstatus == pytest.ExitCode.INTERRUPTED)
    if found:
        config.stash[FINISHED] = found


def _from_root(config: pytest.Config, argument: str) -> str:
    """A path or node id as seen from the root of the project, however it was typed."""
    path, *names = argument.split("::")
    found = (Path(config.invocation_params.dir) / path).resolve()
    inside = found.is_relative_to(config.rootpath)
    return "::".join([found.relative_to(config.rootpath).as_posix() if inside else path, *names])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if FINISHED in config.stash:
        from energylens.plugin.terminal import show

        show(terminalreporter, config, config.stash[FINISHED])


@pytest.fixture
def claim_case(request: pytest.FixtureRequest) -> Case:
    """The case that is running."""
    case: Case = request.param
    return case


@pytest.fixture
def model(claim_case: Case) -> str:
    """Name of the model that the case measures."""
    return claim_case.model


@pytest.fixture
def variant(claim_case: Case) -> str:
    """The claim's variant that the case measures; empty for a claim without variants."""
    return claim_case.variant


@pytest.fixture
def seed(claim_case: Case) -> int | None:
    """The seed that the case measures; None for a verdict, which measures all of them."""
    return claim_case.seed


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config) -> Iterator[Any]:
    """The object through which claims reach their models; see the hook `pytest_energylens_lab`."""
    claims = pytestconfig.stash[SESSION]
    with claims.one_torch_thread():
        yield claims.lab
