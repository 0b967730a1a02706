"""Interventions on attention heads: hooks with a sentinel, patching, ablation, path and attribution patching.

    from energylens import interventions
    effects = interventions.patch_heads(bridge, clean, corrupted, interventions.LogitDiff(io, s)).effect()

Functions, and torch with them, load when they are first asked for, so that declaring claims stays cheap.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from energylens.interventions.ablation import (
        Ablated,
        Mean,
        Resample,
        Zero,
        ablate_groups,
        ablate_heads,
        mean_z,
        unedited_z,
    )
    from energylens.interventions.attribution_patching import attribution_patch
    from energylens.interventions.hooks import HookWithoutEffect, intervening
    from energylens.interventions.latents import (
        AblatedLatents,
        Steered,
        ablate_latents,
        random_directions,
        steer,
        stream_norm,
    )
    from energylens.interventions.metric import KL, LogitDiff, Metric, NextTokenLoss
    from energylens.interventions.patching import Patched, patch_heads
    from energylens.interventions.path_patching import path_patch
    from energylens.interventions.prompts import all_heads, padded
    from energylens.interventions.runners.remembering import remembered
    from energylens.interventions.sweep import logits_at

_HOMES = {
    "ablation": (
        "Ablated",
        "Mean",
        "Resample",
        "Zero",
        "ablate_groups",
        "ablate_heads",
        "mean_z",
        "unedited_z",
    ),
    "attribution_patching": ("attribution_patch",),
    "hooks": ("HookWithoutEffect", "intervening"),
    "latents": (
        "AblatedLatents",
        "Steered",
        "ablate_latents",
        "random_directions",
        "steer",
        "stream_norm",
    ),
    "metric": ("KL", "LogitDiff", "Metric", "NextTokenLoss"),
    "patching": ("Patched", "patch_heads"),
    "path_patching": ("path_patch",),
    "prompts": ("all_heads", "padded"),
    "runners.remembering": ("remembered",),
    "sweep": ("logits_at",),
}

__all__ = [
    "KL",
    "Ablated",
    "AblatedLatents",
    "HookWithoutEffect",
    "LogitDiff",
    "Mean",
    "Metric",
    "NextTokenLoss",
    "Patched",
    "Resample",
    "Steered",
    "Zero",
    "ablate_groups",
    "ablate_heads",
    "ablate_latents",
    "all_heads",
    "attribution_patch",
    "intervening",
    "logits_at",
    "mean_z",
    "padded",
    "patch_heads",
    "path_patch",
    "random_directions",
    "remembered",
    "steer",
    "stream_norm",
    "unedited_z",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return list(__all__)
