"""How well the importance of heads is measured: what importance from other prompts says of it."""

from typing import TYPE_CHECKING

import torch

from energylens.metrics.association import within_groups
from energylens.metrics.reliability import Reliability, reliability

if TYPE_CHECKING:
    from energylens.heads.study import HeadStudy


def of_importance(study: "HeadStudy") -> Reliability:
    """Of `HeadStudy.damage` over all heads."""
    return reliability(*study.damage_halves)


def of_importance_within_layers(study: "HeadStudy") -> Reliability:
    """Of `HeadStudy.damage` after every layer's mean is taken away."""
    first, second = (
        torch.stack([within_groups(row, study.layer) for row in half]) for half in study.damage_halves
    )
    return reliability(first, second)


def same_head_first(study: "HeadStudy") -> tuple[bool, float]:
    """(whether both halves of one split name the same most important head, share of all splits in which they do)."""
    first, second = (half.argmax(1) for half in study.damage_halves)
    return bool(first[0] == second[0]), float((first == second).double().mean())
