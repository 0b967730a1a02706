"""A project's models, data and lab, from the hooks in its conftest.py, also outside a pytest session."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from energylens.errors import InputError
from energylens.plugin.options import read_options
from energylens.plugin.stash import SESSION
from energylens.run.options import Options
from energylens.run.project import Zoo
from energylens.run.session import Session

if TYPE_CHECKING:
    from energylens.store import Store

T = TypeVar("T")


class HookedProject:
    """The project of a pytest configuration: the answers of its hooks, and of the hooks of energylens."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def models(self) -> Mapping[str, str]:
        """See `Project`."""
        return _joined(self._config.hook.pytest_energylens_models())

    def data(self) -> Mapping[str, Callable[[], str]]:
        """See `Project`."""
        return _joined(self._config.hook.pytest_energylens_data())

    def lab(self, session: Session, store: "Store") -> Any:
        """See `Project`. The first project to answer is taken."""
        self._config.stash.setdefault(SESSION, session)
        return self._config.hook.pytest_energylens_lab(config=self._config, store=store)

    def lab_modules(self) -> Sequence[str]:
        """See `Project`."""
        from energylens.plugin import zoo_hooks

        answers = self._config.hook.pytest_energylens_lab.get_hookimpls()
        modules = {each.function.__module__ for each in answers if each.plugin is not zoo_hooks}
        return sorted(modules) or Zoo().lab_modules()


def project_of(claims: Path) -> tuple[HookedProject, Options, Path]:
    """Project, options and root folder with which pytest would run the claims of a folder.

    The folder's ini file, conftest.py and plugins count; no test is run. Errors: InputError where there is no such
    folder, or where pytest refuses its configuration; pytest says why on standard error.
    """
    if not claims.is_dir():
        raise InputError(f"{claims} is no folder; name the folder that holds the claims")
    caught = _Caught()
    status = pytest.main(
        [str(claims), "-p", "no:cacheprovider", "--capture=no", "--assert=plain"], plugins=[caught]
    )
    if caught.config is None:
        raise InputError(f"pytest refused to run {claims} (exit status {int(status)}); it says why above")
    return HookedProject(caught.config), read_options(caught.config), caught.config.rootpath


class _Caught:
    """A plugin that keeps the configuration and runs nothing."""

    config: pytest.Config | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        """Take the place of the session."""
        self.config = config
        return 0


def _joined(answers: Iterable[Mapping[str, T]]) -> dict[str, T]:
    return {name: value for answer in answers for name, value in answer.items()}
