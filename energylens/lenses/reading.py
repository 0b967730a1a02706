"""Readings of a lens at one site of held-out text: residuals, energies, gradients, and covariates of tokens."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from energylens.lenses.held_out import HeldOutText
from energylens.metrics.energy import argmax_energy, energy_and_gradient, redrawn_targets
from energylens.metrics.lens import Lens
from energylens.models.corpus import Corpus
from energylens.models.network import Network
from energylens.sae.activations import stream

COVARIATES = ("position", "norm of x", "log frequency")


@dataclass(frozen=True, eq=False)
class Reading:
    """Rows are the counted tokens of `text` (BOS is not), document by document, window by window.

    energy: gold lens energy, nats; gradient: of it in x, nats per unit of x. covariates: COVARIATES by token.
    """

    text: HeldOutText
    lens: Lens
    x: Float[Tensor, "tokens d_model"]
    targets: Int[Tensor, " tokens"]
    energy: Float[Tensor, " tokens"]
    gradient: Float[Tensor, "tokens d_model"]
    covariates: Float[Tensor, "tokens 3"]

    def by_document(self, rows: Float[Tensor, "tokens n"]) -> Float[Tensor, "document place n"]:
        """Rows of counted tokens, document by document; places of all documents match."""
        return rows.unflatten(0, (self.text.n_documents, -1))

    def under(self, lens: Lens) -> "Reading":
        """The same residuals, read by another lens."""
        energy, gradient = energy_and_gradient(lens, self.x, self.targets)
        return replace(self, lens=lens, energy=energy, gradient=gradient)

    def redrawn_gradient(self, generator: Generator) -> Float[Tensor, "tokens d_model"]:
        """The gradient for targets that the lens itself draws: 0 in expectation, at every token."""
        return energy_and_gradient(self.lens, self.x, redrawn_targets(self.lens, self.x, generator))[1]

    def confident_gradient(self) -> Float[Tensor, "tokens d_model"]:
        """The gradient for the lens's own top token in place of a draw: not 0 in expectation."""
        return argmax_energy(self.lens, self.x)[1]


def read(network: Network, corpus: Corpus, hook_name: str, text: HeldOutText, lens: Lens) -> Reading:
    """Run the text up to `hook_name` and read it by the lens. Frequencies are those of training documents."""
    whole = stream(network, hook_name, text.tokens)
    x, tokens, targets = (each[:, 1:].flatten(0, 1) for each in (whole, text.tokens, text.targets))
    energy, gradient = energy_and_gradient(lens, x, targets)
    n_pos = text.tokens.shape[1]
    position = torch.arange(1, n_pos).repeat(len(text.tokens))
    frequency = token_log_frequency(corpus)[tokens]
    covariates = torch.stack([position.float(), x.norm(dim=1), frequency], dim=1)
    return Reading(text, lens, x, targets, energy, gradient, covariates)


def token_log_frequency(corpus: Corpus) -> Float[Tensor, " d_vocab"]:
    """log of (count + 1) by token in training documents."""
    counts = np.zeros(corpus.d_vocab)
    for _, tokens in corpus.documents("train"):
        counts += np.bincount(tokens, minlength=corpus.d_vocab)
    return torch.from_numpy(np.log1p(counts)).float()
