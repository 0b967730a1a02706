"""Intervals, p values and power over training seeds. Pure functions; scipy loads when one is called."""

from energylens.stats.interval import CONFIDENCE, Interval, clopper_pearson, t_interval
from energylens.stats.jackknife import jackknife_pairs
from energylens.stats.p_values import (
    MOST_FLIPPED,
    Holm,
    Side,
    holm,
    one_sided_p,
    permutation_p,
    sign_flip_p,
    sign_p,
    smallest_sign_flip_p,
)
from energylens.stats.power import (
    decidable,
    mean_power,
    power_at,
    rate_power,
    seeds_for_power,
    seeds_to_decide,
    spread_range,
)
from energylens.stats.scale import fisher_z, fisher_z_interval, geometric_interval

__all__ = [
    "CONFIDENCE",
    "MOST_FLIPPED",
    "Holm",
    "Interval",
    "Side",
    "clopper_pearson",
    "decidable",
    "fisher_z",
    "fisher_z_interval",
    "geometric_interval",
    "holm",
    "jackknife_pairs",
    "mean_power",
    "one_sided_p",
    "permutation_p",
    "power_at",
    "rate_power",
    "seeds_for_power",
    "seeds_to_decide",
    "sign_flip_p",
    "sign_p",
    "smallest_sign_flip_p",
    "spread_range",
    "t_interval",
]
