"""Search for the claims declared in a folder, without pytest: for `energylens list`, and for gates in other files."""

import importlib.util
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from energylens.errors import DeclarationError
from energylens.harness.declare.claim import Claim, claim_of


@dataclass(frozen=True)
class Declared:
    """A claim and the function that measures it."""

    claim: Claim
    body: Callable[..., Any]


def load_claims(folder: Path, skip: Collection[Path] = ()) -> dict[str, Declared]:
    """Claims of every `test_*.py` below `folder` but those in `skip`, by id, in file and line order.

    Raises DeclarationError for a duplicate id, naming both places.
    """
    found: dict[str, Declared] = {}
    for path in sorted(set(folder.rglob("test_*.py")) - set(skip)):
        for body in vars(_import(path)).values():
            declared = claim_of(body) if callable(body) else None
            if declared:
                add_declared(found, Declared(declared, body))
    return found


def add_declared(found: dict[str, Declared], new: Declared) -> None:
    """Add one claim; the same place may be seen twice, the same id in two places is an error."""
    old = found.setdefault(new.claim.id, new)
    if old.claim.where != new.claim.where:
        places = f"{old.claim.where} and {new.claim.where}"
        raise DeclarationError(f"two claims have the id {new.claim.id!r}: {places}")


def _import(path: Path) -> ModuleType:
    name = f"energylens_claims_{sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise DeclarationError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
