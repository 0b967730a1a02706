"""Broken functions that sabotages of several families put in place of real ones."""

from collections.abc import Callable
from typing import Any

from energylens.lab import WIRED
from energylens.trust.sabotage.trial import reads


def untrained(network: Callable[..., Any]) -> Callable[..., Any]:
    """Broken Lab.network: gives the weights of step 0, except for a network wired by hand, which has no step 0."""

    def sold_as_trained(lab: Any, model: str, seed: int = 0) -> Any:
        return network(lab if model == WIRED else lab.swapped(network="untrained"), model, seed)

    return sold_as_trained


def of_noise(halves: Callable[..., Any]) -> Callable[..., Any]:
    """Broken HeadStudy.damage_halves and Effects.halves: give noise of the same shape, so that halves disagree."""
    import torch

    def drawn(study: Any, seed: int | None = None) -> tuple[Any, ...]:
        like = halves(study) if seed is None else halves(study, seed)
        generator = torch.Generator().manual_seed(study.seed if seed is None else seed)
        return tuple(torch.randn(half.shape, generator=generator).abs() for half in like)

    return drawn


def reliable(reliability: Callable[..., Any]) -> Callable[..., Any]:
    """Broken reliability: says that any halves agree at .9 and more."""
    from energylens.metrics.reliability import Reliability

    read = reads(0.9)(None)
    return lambda first, second: Reliability(read(), read())
