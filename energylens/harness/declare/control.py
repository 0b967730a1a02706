"""Controls: measurements that tell whether the claim could be an artefact.

Nulls measure the same quantity where there is nothing to find; they never invalidate a claim but qualify it
("holds, by chance too"). Ceilings measure what a perfect effect would score; a claim whose region lies beyond its
ceiling is INVALID ("out of reach"). Gates name other claims whose region every seed must satisfy; a failed gate makes
the verdict INVALID, because the instrument or the network is not the one that the claim is about.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from energylens.errors import DeclarationError
from energylens.harness.declare.measurement import Measurement


@dataclass(frozen=True)
class Null:
    """A null control: either swaps an input of the claim's own body, or brings a body of its own.

    name: how it appears in ids and tables ("untrained").
    why: one sentence for the report: what the null measures, or rules out.
    swap: inputs to swap ({"network": "untrained"}); the claim's body then runs unchanged on the swapped lab.
    measure: a body of its own, with the parameters of a claim's body.
    qualifies: False for a null that is no chance level of the claim: its number is only printed beside it.
    exact: whether its value is the expectation under chance, computed and not drawn, and so without spread.
    """

    name: str
    why: str
    swap: Mapping[str, str] = field(default_factory=dict)
    measure: Callable[..., Measurement] | None = None
    qualifies: bool = True
    exact: bool = False

    def __post_init__(self) -> None:
        _check_control("null", self)

    @property
    def declaration(self) -> str:
        """The entries that the ledger compares: name, what is swapped or measured, and whether the null is exact."""
        return _declaration(self) + (" exactly" if self.exact else "")


@dataclass(frozen=True)
class Ceiling:
    """A ceiling, the opposite of a null: it measures what a perfect effect would score with this instrument.

    name, why, swap, measure: as of a `Null`. A body of its own measures, for example, the split-half reliability of the
    quantity that the claim predicts, or a planted latent that is perfect. A claim whose ceiling lies outside its
    region is INVALID.
    """

    name: str
    why: str
    swap: Mapping[str, str] = field(default_factory=dict)
    measure: Callable[..., Measurement] | None = None

    def __post_init__(self) -> None:
        _check_control("ceiling", self)

    @property
    def declaration(self) -> str:
        """The entries that the ledger compares: name, and what is swapped or measured."""
        return _declaration(self)


Control = Null | Ceiling
"""Types that a claim may list under `controls`; each control is a case of its own in the run."""


@dataclass(frozen=True)
class Gate:
    """A gate of a claim: another claim, by id, that must be true, seed by seed, before the claim may be judged.

    on: the model to check it on, when that is not the model of the claim that lists the gate
    (a planted positive is checked on the planted dictionary).
    """

    claim: str
    on: str | None = None


def _check_control(kind: str, control: Control) -> None:
    name = control.name
    if not name or not all(char.isalnum() or char in "-." for char in name):
        raise DeclarationError(f"a control's name is letters, digits, '-' and '.', got {name!r}")
    if bool(control.swap) == (control.measure is not None):
        raise DeclarationError(f"{kind} {name!r} needs either a swap or a measure of its own")


def _declaration(control: Control) -> str:
    swapped = ", ".join(f"{name}={value}" for name, value in control.swap.items())
    return f"{control.name} ({swapped or getattr(control.measure, '__name__', '')})"
