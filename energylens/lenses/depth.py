"""Lens energy of text at every depth, from the embedding to the last block."""

from collections.abc import Sequence
from statistics import linear_regression

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from energylens.errors import InputError
from energylens.lenses.logit import logit_lens
from energylens.metrics.energy import energy_and_gradient
from energylens.models.network import Network

WINDOWS_AT_ONCE = 16


def depth_hooks(n_layers: int) -> list[str]:
    """The embedding, then the residual after every block: n_layers + 1 sites, one layer apart."""
    return ["blocks.0.hook_resid_pre", *(f"blocks.{layer}.hook_resid_post" for layer in range(n_layers))]


@torch.no_grad()
def activations_at(
    network: Network, hook_names: Sequence[str], tokens: Int[Tensor, "window pos"]
) -> dict[str, Float[Tensor, "window ..."]]:
    """Activations at hooks inside the blocks, from one run that ends at the last block named: no logits are made.

    Errors: InputError for no windows or no hooks, a hook outside the blocks, or a name as in `Network.run`.
    """
    names = list(hook_names)
    blocks = [int(parts[1]) for parts in (name.split(".") for name in names) if _in_block(parts)]
    if not names or len(blocks) < len(names):
        raise InputError(f"hooks must lie in blocks, blocks.L.<...>, received {names}")
    if not len(tokens):
        raise InputError(
            f"activations need a window at least, received tokens of shape {tuple(tokens.shape)}"
        )
    network.run(names, tokens[:1], pos=slice(None))
    pieces: dict[str, list[Tensor]] = {name: [] for name in names}
    for chunk in tokens.split(WINDOWS_AT_ONCE):
        _, found = network.bridge.run_with_cache(
            chunk, names_filter=lambda name: name in pieces, stop_at_layer=max(blocks) + 1
        )
        for name, parts in pieces.items():
            parts.append(found[name])
    return {name: torch.cat(parts) for name, parts in pieces.items()}


def energy_by_depth(
    network: Network,
    tokens: Int[Tensor, "window pos"],
    targets: Int[Tensor, "window pos"],
    counted: Bool[Tensor, "window pos"],
) -> Float[Tensor, "site counted"]:
    """Gold lens energy in nats of the counted tokens, window by window, at every site of `depth_hooks`."""
    hooks, lens = depth_hooks(network.n_layers), logit_lens(network)
    found = activations_at(network, hooks, tokens)
    return torch.stack(
        [energy_and_gradient(lens, found[name][counted], targets[counted])[0] for name in hooks]
    )


def nats_per_layer(energies: Float[Tensor, " site"]) -> float:
    """Least-squares slope of energy over depth; with two blocks, half the difference of the two ends."""
    if len(energies) < 2:
        raise InputError(f"a slope needs energies at two sites at least, received {len(energies)}")
    return linear_regression(range(len(energies)), energies.tolist()).slope


def _in_block(parts: Sequence[str]) -> bool:
    return parts[0] == "blocks" and len(parts) > 2 and parts[1].isdigit()
