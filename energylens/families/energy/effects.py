"""Exact effects on the network of ablating latents and steering along them, with which alignment is compared."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import process_time
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from energylens.errors import InputError
from energylens.families.energy.energy_study import align, median
from energylens.interventions import KL, NextTokenLoss, logits_at
from energylens.interventions.latents import Steered, ablate_latents, random_directions, steer
from energylens.interventions.metric import Metric
from energylens.lenses.reading import Reading
from energylens.metrics.reliability import split_halves
from energylens.models.network import Network
from energylens.models.tasks.base import IGNORED
from energylens.sae.dictionary import Dictionary

ABLATED = 64
"""Number of latents that are ablated, drawn among those that fire on enough tokens."""

STEP = 0.25
"""Steering moves every token by this share of the root mean square norm of x."""

FIRST = 64
"""Number of tokens of a window that are run, with BOS."""

MOVED_AT_ONCE = 4096
"""Number of tokens whose energy is read at once: their logits take 4 d_vocab bytes each."""

SPLITS = 100
"""Number of random splits of the documents into halves; reliability is a mean over them."""

RANDOM = 60
"""Number of random directions that a steered one is compared with."""

Values = Float[Tensor, " n"]


@dataclass(frozen=True, eq=False)
class AgainstRandom:
    """Effects of directions, and of random directions of the same size; each is one number per direction, in nats.

    loss: change of the network's loss. energy: change of the lens energy at the site. kl: KL(unedited || edited) of
    the network's predictions. All are means over the counted tokens of the windows used.
    """

    loss: Values
    energy: Values
    kl: Values
    random_loss: Float[Tensor, " random"]
    random_energy: Float[Tensor, " random"]
    random_kl: Float[Tensor, " random"]
    seconds: float
    """Processor seconds of the measurement."""

    def medians(self) -> dict[str, float]:
        """Medians of the sizes, by name."""
        named = {"|change of loss|": "loss", "|change of lens energy|": "energy", "KL": "kl"}
        return {
            f"median {name}, {of}": median(getattr(self, f"{prefix}{field}").abs())
            for name, field in named.items()
            for of, prefix in (("features", ""), ("random directions", "random_"))
        }


class SteeringShifts(NamedTuple):
    """Changes of the loss, nats, per direction. seconds: processor time that it took."""

    loss: Values
    seconds: float


@dataclass(frozen=True, eq=False)
class Effects:
    """Per ablated latent, means over all counted tokens of the windows used, in nats.

    latents: their numbers. by_document: change of the network's loss, over the tokens of one document; downstream: its
    mean. same_position: change of the lens energy at the site. first_order: of it, mean a_f g_f. activity: mean a_f.
    efas: of the same tokens, and so of the same noise.
    """

    latents: Int[Tensor, " n"]
    by_document: Float[Tensor, "n document"]
    downstream: Float[Tensor, " n"]
    same_position: Float[Tensor, " n"]
    first_order: Float[Tensor, " n"]
    activity: Float[Tensor, " n"]
    efas: Float[Tensor, " n"]
    seconds: float
    """Processor seconds of the measurement."""

    def halves(self, seed: int) -> tuple[Float[Tensor, "splits n"], Float[Tensor, "splits n"]]:
        """`downstream` from either of two disjoint halves of the documents, for SPLITS random splits."""
        return split_halves(self.by_document, SPLITS, Generator().manual_seed(seed))


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
    start = process_time()
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
    by_document = found.change().double()
    return Effects(
        latents,
        by_document,
        by_document.mean(1),
        _same_position(reading, rows, chosen, W_dec),
        first_order,
        chosen.double().mean(0),
        align(dictionary.W_dec, [(acts, gradient, covariates)]).efas_all[latents],
        process_time() - start,
    )


def ablation_against_random(
    network: Network,
    hook_name: str,
    dictionary: Dictionary,
    reading: Reading,
    latents: Int[Tensor, " n"],
    seed: int,
) -> AgainstRandom:
    """Ablation of latents, and of random directions r_f in their place: x - a_f r_f, ||r_f|| = ||d_f||.

    As `ablation_effects`, over a window of every fourth document.
    """
    start, rows = process_time(), first_windows(reading)[::4]
    acts = dictionary.acts(_of_windows(reading.x, reading, rows).flatten(0, 1))[:, latents]
    W_dec = dictionary.W_dec[latents]
    drawn = random_directions(len(W_dec), W_dec.shape[1], Generator().manual_seed(seed))
    both = torch.cat([W_dec, drawn * W_dec.norm(dim=1, keepdim=True)])
    padded = torch.nn.functional.pad(acts.repeat(1, 2).unflatten(0, (len(rows), -1)), (0, 0, 1, 0))
    loss, kl = (
        ablate_latents(network.bridge, tokens, metric, hook_name, padded, both).change().double().mean(1)
        for tokens, metric in _metrics(network, reading, rows)
    )
    energy = _same_position(reading, rows, acts.repeat(1, 2), both)
    return _halved((loss, energy, kl), len(latents), start)


def ablated_latents(firing_counts: Int[Tensor, " d_sae"], least: int, seed: int) -> Int[Tensor, " n"]:
    """ABLATED latents, or all that there are, drawn among those that fire on at least `least` tokens."""
    often = (firing_counts >= least).nonzero().flatten()
    order = torch.randperm(len(often), generator=Generator().manual_seed(seed))
    return often[order[:ABLATED]].sort().values


def steering_shifts(
    network: Network, hook_name: str, reading: Reading, directions: Float[Tensor, "n d_model"]
) -> SteeringShifts:
    """Change of the loss when all counted tokens move by STEP along each direction.

    On the first FIRST tokens of a window of every second document.
    """
    start, rows = process_time(), first_windows(reading)[::2]
    found = _steered(network, hook_name, directions, directions[:0], next(_metrics(network, reading, rows)))
    return SteeringShifts(found.change().double().mean(1), process_time() - start)


def random_shifts(network: Network, hook_name: str, reading: Reading, seed: int) -> SteeringShifts:
    """`steering_shifts` along RANDOM directions uniform on the sphere: the same whatever they are compared with."""
    directions = random_directions(RANDOM, reading.x.shape[1], Generator().manual_seed(seed))
    return steering_shifts(network, hook_name, reading, directions)


def steering_against_random(
    network: Network, hook_name: str, reading: Reading, directions: Float[Tensor, "n d_model"], seed: int
) -> AgainstRandom:
    """Those steps, and RANDOM / 3 random ones, over a window of every fourth document, read in full."""
    start, rows = process_time(), first_windows(reading)[::4]
    random = random_directions(RANDOM // 3, directions.shape[1], Generator().manual_seed(seed))
    loss, kl = (
        _steered(network, hook_name, directions, random, read) for read in _metrics(network, reading, rows)
    )
    both = torch.cat([directions, random.to(directions)])
    counted = reading.text.tokens[rows, 1:FIRST].numel()
    energy = _same_position(reading, rows, both.new_full((counted, len(both)), -loss.step), both)
    loss_change, kl_change = (
        torch.cat([each.change(), each.random_change()]).double().mean(1) for each in (loss, kl)
    )
    return _halved((loss_change, energy, kl_change), len(directions), start)


def _steered(
    network: Network, hook_name: str, directions: Tensor, random: Tensor, read: tuple[Tensor, Metric]
) -> Steered:
    tokens, metric = read
    positions = torch.ones_like(tokens, dtype=torch.bool)
    positions[:, 0] = False
    return steer(
        network.bridge, tokens, metric, hook_name, directions, STEP, random=random, positions=positions
    )


def _metrics(
    network: Network, reading: Reading, rows: Int[Tensor, " window"]
) -> Iterator[tuple[Int[Tensor, "window pos"], Metric]]:
    """Tokens of some windows with what is read of them: the loss, then the divergence from the unedited run."""
    tokens, targets = (
        each[rows, :FIRST] for each in (reading.text.tokens, _counted_targets(reading.text.targets))
    )
    yield tokens, NextTokenLoss(targets)
    pos = torch.arange(1, tokens.shape[1]).expand(len(rows), -1)
    yield tokens, KL(logits_at(network.bridge, tokens, pos).log_softmax(-1), pos)


def _halved(both: tuple[Tensor, Tensor, Tensor], n: int, start: float) -> AgainstRandom:
    """The first n of loss, energy and divergence are of the directions themselves, the others of random ones."""
    loss, energy, kl = both
    return AgainstRandom(loss[:n], energy[:n], kl[:n], loss[n:], energy[n:], kl[n:], process_time() - start)


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
    total = torch.zeros(acts.shape[1], dtype=torch.float64)
    for token, latent in zip(
        *(each.split(MOVED_AT_ONCE) for each in acts.nonzero(as_tuple=True)), strict=True
    ):
        moved = x[token] - acts[token, latent, None] * W_dec[latent]
        after = torch.nn.functional.cross_entropy(
            reading.lens.logits(moved), targets[token], reduction="none"
        )
        change = after - energy[token]
        total.index_add_(0, latent, change.double())
    return total / len(acts)


def _of_windows(rows: Tensor, reading: Reading, windows: Int[Tensor, " window"]) -> Tensor:
    """Rows of the counted tokens that are run, as [window, FIRST - 1, ...], some windows."""
    return rows.unflatten(0, (len(reading.text.tokens), -1))[windows, : FIRST - 1]


def _counted_targets(targets: Int[Tensor, "window pos"]) -> Int[Tensor, "window pos"]:
    counted = targets.clone()
    counted[:, 0] = IGNORED
    return counted
