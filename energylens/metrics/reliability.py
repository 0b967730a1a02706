"""Reliability of a profile over units: the score of the same profile, from other samples, as its predictor.

Units are heads or latents; samples are what each number is a mean over, prompts or documents. All in float64.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from energylens.errors import InputError


@dataclass(frozen=True)
class Reliability:
    """Mean correlation of two halves of the samples, and what follows from it for all of them.

    full: r of the whole with another such whole (`spearman_brown`). noise_free: sqrt(full), the largest r that a
    predictor without noise of its own can reach with a target so reliable (attenuation; Spearman 1904).
    """

    halves: float
    full: float

    @property
    def noise_free(self) -> float:
        """sqrt(full); 0 where the halves do not agree at all."""
        return max(self.full, 0.0) ** 0.5 if self.full == self.full else self.full

    def named(self) -> dict[str, float]:
        """All three by name; none where they are undefined."""
        found = {
            "r between halves": self.halves,
            "reliability": self.full,
            "largest r without noise": self.noise_free,
        }
        return {name: number for name, number in found.items() if number == number}


def attenuated(first: float, second: float) -> float:
    """sqrt(r_xx r_yy): r of two measures of these reliabilities whose true values agree perfectly (Spearman 1904).

    A reliability below 0 is noise about 0 and counts as 0; NaN stays NaN.
    """
    if first != first or second != second:
        return first + second
    return (max(first, 0.0) * max(second, 0.0)) ** 0.5


def spearman_brown(r: float) -> float:
    """2 r / (1 + r): r between halves, stepped up to wholes (Spearman 1910, Brown 1910).

    A negative r stays what it is: no reliability is negative, it is noise about 0, and the formula leaves [-1, 1].
    """
    return 2 * r / (1 + r) if r > 0 else r


def split_halves(
    samples: Float[Tensor, "unit sample"], splits: int, generator: Generator
) -> tuple[Float[Tensor, "splits unit"], Float[Tensor, "splits unit"]]:
    """Means over two disjoint halves of the samples, for random splits; of an odd number one is left out.

    Errors: InputError for fewer than 2 samples.
    """
    n = samples.shape[-1]
    if n < 2:
        raise InputError(f"halves need 2 samples at least, received {n}")
    order = torch.rand(splits, n, generator=generator).argsort(1)
    member = torch.zeros(2, splits, n, dtype=torch.float64)
    member[0].scatter_(1, order[:, : n // 2], 1 / (n // 2))
    member[1].scatter_(1, order[:, n - n // 2 :], 1 / (n // 2))
    first, second = (torch.einsum("un,sn->su", samples.double(), each) for each in member)
    return first, second


def reliability(first: Float[Tensor, "splits unit"], second: Float[Tensor, "splits unit"]) -> Reliability:
    """From Pearson's r over units between halves, mean over splits; NaN where a half is constant over units.

    For rank correlations rank each row first, for those within groups take the groups' means away first.
    """
    x, y = (half.double() - half.double().mean(1, keepdim=True) for half in (first, second))
    r = float(((x * y).sum(1) / (x.norm(dim=1) * y.norm(dim=1))).mean())
    return Reliability(r, spearman_brown(r))
