"""What latents do when they are taken out or pushed: exact effects on the network, beside which alignment stands."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from energylens.energy.dictionary import Dictionary
from energylens.energy.reading import Reading
from energylens.energy.study import align
from energylens.errors import InputError
from energylens.interventions import NextTokenLoss
from energylens.interventions.latents import ablate_latents, random_directions, steer
from energylens.metrics.energy import energy_and_gradient
from energylens.models.network import Network
from energylens.models.tasks.base import IGNORED

ABLATED = 64
"""Latents that are ablated, at random among those that fire on enough tokens."""

STEP = 0.25
"""Steering moves every token by this share of the root mean square norm of x."""

FIRST = 64
"""Tokens of a window that is run, BOS among them."""

RANDOM = 60
"""Random directions that a steered one is compared with."""


@dataclass(frozen=True, eq=False)
class Effects:
    """Per ablated latent, means over all counted tokens of the windows used, in nats.

    latents: their numbers. downstream: change of the network's loss. same_position: change of the lens energy at the
    site. first_order: of it, mean a_f g_f. activity: mean a_f. efas: of the same tokens, and so of the same noise.
    """

    latents: Int[Tensor, " n"]
    downstream: Float[Tensor, " n"]
    same_position: Float[Tensor, " n"]
    first_order: Float[Tensor, " n"]
    activity: Float[Tensor, " n"]
    efas: Float[Tensor, " n"]


def ablation_effects(
    network: Network,
    hook_name: str,
    dictionary: Dictionary,
    reading: Reading,
    latents: Int[Tensor, " n"],
) -> Effects:
    """Exact ablation of each latent alone on the first FIRST tokens of a window of every document.

    Errors: InputError for no latent.
    """
    if not len(latents):
        raise InputError("no latent fires often enough to be ablated, got 0 of them")
    rows = first_windows(reading)
    tokens, targets = (
        each[rows, :FIRST] for each in (reading.text.tokens, _counted_targets(reading.text.targets))
    )
    acts = dictionary.acts(_of_windows(reading.x, reading, rows).flatten(0, 1))
    padded = torch.nn.functional.pad(acts.unflatten(0, (len(rows), -1)), (0, 0, 1, 0))  # BOS is left as it is
    found = ablate_latents(
        network.bridge,
        tokens,
        NextTokenLoss(targets),
        hook_name,
        padded,
        dictionary.W_dec,
        latents=latents.tolist(),
    )
    chosen, W_dec = acts[:, latents], dictionary.W_dec[latents]
    gradient, covariates = (
        _of_windows(each, reading, rows).flatten(0, 1) for each in (reading.gradient, reading.covariates)
    )
    first_order = (chosen * -torch.einsum("td,fd->tf", gradient, W_dec)).double().mean(0)
    return Effects(
        latents,
        found.change().double().mean(1),
        _same_position(reading, rows, chosen, W_dec),
        first_order,
        chosen.double().mean(0),
        align(dictionary, acts, gradient, covariates).efas_all[latents],
    )


def ablated_latents(firing_counts: Int[Tensor, " d_sae"], least: int, seed: int) -> Int[Tensor, " n"]:
    """ABLATED latents, or all that there are, drawn among those that fire on at least `least` tokens."""
    often = (firing_counts >= least).nonzero().flatten()
    order = torch.randperm(len(often), generator=Generator().manual_seed(seed))
    return often[order[:ABLATED]].sort().values


def steering_shifts(
    network: Network, hook_name: str, reading: Reading, directions: Float[Tensor, "n d_model"], seed: int
) -> tuple[Float[Tensor, " n"], Float[Tensor, " random"]]:
    """|mean change of the loss|, nats, when all counted tokens move along each direction, and along random ones.

    On the first FIRST tokens of a window of every second document; random directions are uniform on the sphere.
    """
    rows = first_windows(reading)[::2]
    tokens, targets = (
        each[rows, :FIRST] for each in (reading.text.tokens, _counted_targets(reading.text.targets))
    )
    positions = torch.ones_like(tokens, dtype=torch.bool)
    positions[:, 0] = False
    random = random_directions(RANDOM, directions.shape[1], Generator().manual_seed(seed))
    found = steer(
        network.bridge,
        tokens,
        NextTokenLoss(targets),
        hook_name,
        directions,
        STEP,
        random=random,
        positions=positions,
    )
    return found.change().double().mean(1).abs(), found.random_change().double().mean(1).abs()


def first_windows(reading: Reading) -> Int[Tensor, " document"]:
    """The first window of every document."""
    return torch.arange(0, len(reading.text.tokens), len(reading.text.tokens) // reading.text.n_documents)


def _same_position(
    reading: Reading, rows: Int[Tensor, " window"], acts: Float[Tensor, "t n"], W_dec: Float[Tensor, "n d"]
) -> Float[Tensor, " n"]:
    """Mean over tokens of E(x - a_f d_f) - E(x): only tokens where a latent fires are computed."""
    x, targets, energy = (
        _of_windows(each, reading, rows).flatten(0, 1)
        for each in (reading.x, reading.targets, reading.energy)
    )
    token, latent = acts.nonzero(as_tuple=True)
    moved = x[token] - acts[token, latent, None] * W_dec[latent]
    change = energy_and_gradient(reading.lens, moved, targets[token])[0] - energy[token]
    total = torch.zeros(acts.shape[1], dtype=torch.float64).index_add_(0, latent, change.double())
    return total / len(acts)


def _of_windows(rows: Tensor, reading: Reading, windows: Int[Tensor, " window"]) -> Tensor:
    """Rows of the counted tokens that are run, as [window, FIRST - 1, ...], some windows."""
    return rows.unflatten(0, (len(reading.text.tokens), -1))[windows, : FIRST - 1]


def _counted_targets(targets: Int[Tensor, "window pos"]) -> Int[Tensor, "window pos"]:
    counted = targets.clone()
    counted[:, 0] = IGNORED
    return counted
