"""Reliability of the importance of heads: its agreement with importance from other prompts."""

from typing import TYPE_CHECKING

import torch

from energylens.metrics.association import within_groups
from energylens.metrics.reliability import Reliability, reliability

if TYPE_CHECKING:
    from energylens.families.spectral.head_study import HeadStudy


def of_importance(study: "HeadStudy") -> Reliability:
    """Reliability of `HeadStudy.damage` over all heads."""
    return reliability(*study.damage_halves)


def of_importance_within_layers(study: "HeadStudy") -> Reliability:
    """Reliability of `HeadStudy.damage` after subtraction of every layer's mean."""
    first, second = (
        torch.stack([within_groups(row, study.layer) for row in half]) for half in study.damage_halves
    )
    return reliability(first, second)


def same_head_first(study: "HeadStudy") -> tuple[bool, float]:
    """(whether half of the prompts names the head that matters most on all prompts, share of splits that do).

    The half is part of the whole, so that this overestimates the agreement, and so the ceiling.
    """
    named = study.damage_halves[0].argmax(1) == study.damage.argmax()
    return bool(named[0]), float(named.double().mean())
