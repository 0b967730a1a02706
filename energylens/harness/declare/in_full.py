"""Claims at full size: a claim with more seeds and models, in the tier `full`."""

import types
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from energylens.errors import DeclarationError
from energylens.harness.declare.claim import claim_of


def in_full(
    body: Callable[..., Any], *, seeds: Iterable[int], models: Iterable[str] | None = None
) -> Callable[..., Any]:
    """A copy of a claim's body, declared as `<id>-full` in the tier `full` with these seeds (and models).

    Give the copy a name that starts with `test_`, so that pytest collects it. Region, controls, gates and
    statistic stay those of the claim. Errors: DeclarationError if `body` declares no claim.
    """
    declared = claim_of(body)
    if declared is None:
        raise DeclarationError(f"{body!r} declares no claim: decorate it with @claim first")
    name = f"{body.__name__}_full"
    copy = types.FunctionType(body.__code__, body.__globals__, name, body.__defaults__, body.__closure__)
    larger = replace(
        declared,
        id=f"{declared.id}-full",
        tier="full",
        seeds=tuple(seeds),
        models=declared.models if models is None else tuple(models),
        seeds_on={},
        function=name,
        extends=declared.id,
    )
    copy.__energylens_claim__ = larger  # type: ignore[attr-defined]
    return copy
