"""Alignment of one dictionary's latents with the energy at one site; each number is measured once, on first use."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from energylens.errors import InputError
from energylens.lenses.reading import COVARIATES, Reading
from energylens.metrics.alignment import LEAST_FIRING, Alignment, AlignmentStatistics
from energylens.metrics.permutation import document_permutations, document_t, max_t_p
from energylens.metrics.reservoir import TokenReservoir, TokenSample, mutual_information, spearman
from energylens.metrics.stability import unit_rows
from energylens.sae.dictionary import Dictionary

TOP = 20
DRAWS = 999
CALIBRATION_DRAWS = 99
SAMPLED = 4096
"""Number of tokens in the sample for ranks and mutual information."""


@dataclass(frozen=True, eq=False)
class EnergyStudy:
    """One dictionary against readings of discovery and confirmation documents, which share no document."""

    dictionary: Dictionary
    readings: Mapping[str, Reading]
    seed: int

    def alignment(self, split: str) -> Alignment:
        """All alignments over one split. Errors: InputError for another than "discovery" or "confirmation"."""
        if split not in self.readings:
            raise InputError(
                f"alignments are over {' or '.join(self.readings)} documents, received {split!r}"
            )
        return self._discovery if split == "discovery" else self._confirmed.alignment

    @cached_property
    def _discovery(self) -> Alignment:
        reading = self.readings["discovery"]
        return self._aligned(reading, reading.gradient)

    @cached_property
    def _confirmed(self) -> "Confirmed":
        """All numbers that need activations on confirmation documents, computed in one pass over them."""
        reading, W_dec = self.readings["confirmation"], self.dictionary.W_dec
        of_top = []

        def noted() -> Iterator[tuple[Tensor, ...]]:
            for acts, *beside in self.dictionary.in_parts(reading.x, reading.gradient, reading.covariates):
                of_top.append(acts[:, self.top])
                yield acts, *beside

        alignment = align(W_dec, noted())
        top_acts = torch.cat(of_top)
        t = permuted_t(reading, top_acts, reading.gradient, W_dec[self.top], DRAWS, self.seed)
        reservoir = TokenReservoir(SAMPLED, Generator().manual_seed(self.seed))
        reservoir.update(top_acts, reading.gradient)
        return Confirmed(alignment, top_acts, max_t_p(t[0], t[1:]), reservoir.sample())

    def _aligned(self, reading: Reading, gradient: Float[Tensor, "tokens d_model"]) -> Alignment:
        parts = self.dictionary.in_parts(reading.x, gradient, reading.covariates)
        return align(self.dictionary.W_dec, parts)

    @cached_property
    def efas(self) -> Float[Tensor, " d_sae"]:
        """EFAS of every latent on confirmation documents, over all tokens; needs no discovery documents."""
        if "_confirmed" in vars(self):
            return self._confirmed.alignment.efas_all
        reading = self.readings["confirmation"]
        return self._aligned(reading, reading.gradient).efas_all

    @cached_property
    def top(self) -> Int[Tensor, " top"]:
        """The TOP latents with the largest |EFAS| on discovery documents, of those with enough firing tokens there.

        Fewer where fewer qualify.
        """
        found = self.alignment("discovery")
        known = found.efas_all.abs().masked_fill(found.firing_counts < LEAST_FIRING, -1).nan_to_num(-1)
        return known.argsort(descending=True, stable=True)[: min(TOP, int((known >= 0).sum()))]

    @cached_property
    def top_directions(self) -> Float[Tensor, "top d_model"]:
        """Decoder rows of the TOP latents, at norm 1."""
        return unit_rows(self.dictionary.W_dec[self.top])

    @cached_property
    def redrawn_efas(self) -> Float[Tensor, " d_sae"]:
        """EFAS on confirmation documents for targets that the lens itself draws: sampling noise alone."""
        reading = self.readings["confirmation"]
        gradient = reading.redrawn_gradient(Generator().manual_seed(self.seed))
        return self._aligned(reading, gradient).efas_all

    @property
    def top_acts(self) -> Float[Tensor, "tokens top"]:
        """Activations of the TOP latents on confirmation documents."""
        return self._confirmed.top_acts

    @property
    def top_p(self) -> Float[Tensor, " top"]:
        """Max-T p over the TOP latents on confirmation documents, from studentised document permutations."""
        return self._confirmed.top_p

    @property
    def smallest_p(self) -> float:
        """Smallest p that exchanging n confirmation documents can give: the larger of 1 / n! and 1 / (DRAWS + 1)."""
        n = self.readings["confirmation"].text.n_documents
        return max(1 / math.factorial(n), 1 / (DRAWS + 1))

    @cached_property
    def beside(self) -> dict[str, float]:
        """Medians of other measures of alignment, over the TOP latents on confirmation documents."""
        found = self.alignment("confirmation")
        other = {"|EFAS| where it fires": found.efas_firing, "|partial EFAS|": found.efas_partial}
        medians = {name: median(values[self.top].abs()) for name, values in other.items()}
        sample, W_dec = self._confirmed.sample, self.dictionary.W_dec[self.top]
        shared = mutual_information(sample, W_dec, range(len(W_dec)), self.seed)
        return {
            **medians,
            "|Spearman|": median(spearman(sample, W_dec).abs()),
            "mutual information": median(shared),
        }

    def fires_enough(self, split: str = "confirmation") -> Bool[Tensor, " d_sae"]:
        """Latents with at least LEAST_FIRING firing tokens."""
        return self.alignment(split).firing_counts >= LEAST_FIRING


class Confirmed(NamedTuple):
    """Results of one pass over confirmation documents."""

    alignment: Alignment
    top_acts: Float[Tensor, "tokens top"]
    top_p: Float[Tensor, " top"]
    sample: TokenSample
    """Of the TOP latents."""


def align(W_dec: Float[Tensor, "d_sae d_model"], parts: Iterable[tuple[Tensor, ...]]) -> Alignment:
    """All alignments of all latents, by one pass over (activations, gradient, covariates) of some tokens at a time."""
    statistics = AlignmentStatistics(W_dec, COVARIATES)
    for acts, gradient, covariates in parts:
        statistics.update(acts, gradient, covariates)
    return statistics.compute()


def median(values: Float[Tensor, " n"]) -> float:
    """Median of the values that are not NaN; NaN without any."""
    known = values[~values.isnan()].double()
    return float(known.quantile(0.5)) if len(known) else math.nan


def permuted_t(
    reading: Reading,
    acts: Float[Tensor, "tokens latents"],
    gradient: Float[Tensor, "tokens d_model"],
    W_dec: Float[Tensor, "latents d_model"],
    draws: int,
    seed: int,
) -> Float[Tensor, "draws_and_one latents"]:
    """Studentised alignment as observed (row 0) and under `draws` document permutations."""
    n = reading.text.n_documents
    drawn = document_permutations(n, draws, Generator().manual_seed(seed))
    permutations = torch.cat([torch.arange(n)[None], drawn])
    return document_t(reading.by_document(acts), reading.by_document(gradient), W_dec, permutations)


def rejection_rate(
    dictionary: Dictionary, reading: Reading, gradient: Float[Tensor, "tokens d_model"], seed: int
) -> float:
    """Share of latents with enough firing tokens whose p, each tested alone, is at most .05 against this gradient."""
    acts = dictionary.acts(reading.x)
    t = permuted_t(reading, acts, gradient, dictionary.W_dec, CALIBRATION_DRAWS, seed)
    p = ((t[1:].abs() >= t[0].abs() - 1e-9).sum(0) + 1) / len(t)
    tested = ((acts != 0).sum(0) >= LEAST_FIRING) & ~t[0].isnan()
    return float((p[tested] <= 0.05).double().mean())
