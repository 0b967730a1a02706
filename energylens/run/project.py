"""Projects: their models, the data of these, and the lab of their claims."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from energylens.run.session import Session
    from energylens.store import Store


class Project(Protocol):
    """Interface through which a run knows its project; the plugin implements it by the hooks of conftest.py."""

    def models(self) -> Mapping[str, str]:
        """Every model that claims may name, with its task."""

    def data(self) -> Mapping[str, Callable[[], str]]:
        """By task, a function that gives the fingerprint of the data that its models are trained on."""

    def lab(self, session: "Session", store: "Store") -> Any:
        """The lab of the claims, for a run and its store."""

    def lab_modules(self) -> Sequence[str]:
        """Names of the modules that define the lab."""


class Zoo:
    """The networks, SAEs and dictionaries that energylens brings, and the user's own checkpoints."""

    def models(self) -> Mapping[str, str]:
        """See `Project`."""
        from energylens.lab import MODEL_TASKS

        return MODEL_TASKS

    def data(self) -> Mapping[str, Callable[[], str]]:
        """See `Project`."""
        from energylens.models.documents import python_fingerprint
        from energylens.models.tasks import Text

        return {Text.name: python_fingerprint}

    def lab(self, session: "Session", store: "Store") -> Any:
        """See `Project`."""
        from energylens.lab import Lab

        return Lab(store, session.own_checkpoints, session.note_artifact)

    def lab_modules(self) -> Sequence[str]:
        """See `Project`."""
        from energylens.families import lab_part, names
        from energylens.lab import Lab

        parts = [part for name in names() if (part := lab_part(name))]
        return [Lab.__module__, *(part.__module__ for part in parts)]


class OneLab:
    """A project with a given lab, and without fingerprints of data."""

    def __init__(self, lab: Any) -> None:
        self._lab = lab

    def models(self) -> Mapping[str, str]:
        """See `Project`."""
        return {}

    def data(self) -> Mapping[str, Callable[[], str]]:
        """See `Project`."""
        return {}

    def lab(self, session: "Session", store: "Store") -> Any:
        """See `Project`."""
        return self._lab

    def lab_modules(self) -> Sequence[str]:
        """See `Project`."""
        return [type(self._lab).__module__]
