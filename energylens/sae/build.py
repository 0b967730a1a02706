"""From a recipe to stored SAEs: split and scale the activations, train by the recipe's method, measure."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energylens.metrics.reconstruction import explained_variance
from energylens.models.threads import torch_threads
from energylens.sae.activations import training_and_held_out
from energylens.sae.recipe import TrainSAEs
from energylens.sae.sae import SAEs
from energylens.sae.scaling import Scaling
from energylens.sae.train import REPORT_EVERY
from energylens.sae.weights import Settings
from energylens.store.recipe import JSON, Artifact, Progress

ROWS_AT_ONCE = 2048
"""Rows encoded at once when SAEs are measured: at 1024 latents 8 MB."""

ROWS_MEASURED = 40_000
"""Training activations, from the first, on which SAEs are measured; all of a smaller sample."""


def build(recipe: TrainSAEs, inputs: Sequence[Artifact], progress: Progress) -> Artifact:
    """Tensors W_enc, b_enc, W_dec, b_dec, W_dec_init (leading axis n_seeds), in the units of the activations.

    meta: seeds, `method` (its JSON), `scale` (activations were multiplied by it for training), `curve` (step, loss:
    mean fraction of variance unexplained since the last entry), `seconds`, `samples_per_second`, and what the method
    tells, as `search` (trials of the L1 search); lists over seeds: `l1`; on held-out activations
    `explained_variance` and `l0`; on the first ROWS_MEASURED training activations `l0_train` and `dead_fraction`
    (latents that fire on none of them).
    """
    with torch_threads(recipe.threads):
        train_x, heldout_x = training_and_held_out(inputs, recipe)
        scaling = Scaling.of(train_x)
        fitted = recipe.variant.fit(scaling.apply(train_x), recipe.seeds, _settings(recipe), progress)
        trained = fitted.trained
        weights = scaling.undo(trained.weights)
        meta = {
            "seeds": list(recipe.seeds),
            "method": recipe.variant.to_json(),
            "scale": scaling.factor,
            **fitted.meta,
            "curve": _curve(trained.losses),
            "seconds": trained.seconds,
            "samples_per_second": recipe.steps * recipe.batch * len(recipe.seeds) / trained.seconds,
        }
        saes = SAEs(recipe.seeds, recipe.variant, weights, trained.W_dec_init, meta)
        measured = _measured(saes, train_x, heldout_x)
    tensors = {**vars(weights), "W_dec_init": trained.W_dec_init}
    return Artifact({name: tensor.numpy() for name, tensor in tensors.items()}, {**meta, **measured})


def _settings(recipe: TrainSAEs) -> Settings:
    """The settings in a recipe that every method gets."""
    return Settings(
        recipe.d_sae,
        recipe.steps,
        recipe.batch,
        recipe.lr,
        recipe.decoder == "trained",
        torch.bfloat16 if recipe.autocast == "bf16" else torch.float32,
        recipe.kernel,
    )


def _measured(
    saes: SAEs, train_x: Float[Tensor, "n_train d_in"], heldout_x: Float[Tensor, "n_heldout d_in"]
) -> dict[str, list[float]]:
    """Measurements per seed, as the docstring of `build` lists them."""
    columns: dict[str, list[float]] = {
        name: [] for name in ("explained_variance", "l0", "l0_train", "dead_fraction")
    }
    train_x = train_x[:ROWS_MEASURED]
    for seed in saes.seeds:
        fired = _firing_counts(saes, train_x, seed)
        columns["explained_variance"].append(
            explained_variance(heldout_x, _reconstructed(saes, heldout_x, seed))
        )
        columns["l0"].append(float(_firing_counts(saes, heldout_x, seed).sum()) / len(heldout_x))
        columns["l0_train"].append(float(fired.sum()) / len(train_x))
        columns["dead_fraction"].append(float((fired == 0).double().mean()))
    return columns


def _firing_counts(saes: SAEs, x: Float[Tensor, "n d_in"], seed: int) -> Int[Tensor, " d_sae"]:
    """On how many rows of x each latent fires; no [n, d_sae] matrix of all rows is made."""
    return torch.stack([(saes.encode(rows, seed) > 0).sum(0) for rows in x.split(ROWS_AT_ONCE)]).sum(0)


def _reconstructed(saes: SAEs, x: Float[Tensor, "n d_in"], seed: int) -> Float[Tensor, "n d_in"]:
    return torch.cat([saes.reconstruct(rows, seed) for rows in x.split(ROWS_AT_ONCE)])


def _curve(losses: Float[Tensor, "steps n_seeds"]) -> dict[str, JSON]:
    """Mean loss of every REPORT_EVERY steps, per seed."""
    windows = losses.split(REPORT_EVERY)
    steps = [min((i + 1) * REPORT_EVERY, len(losses)) for i in range(len(windows))]
    return {"step": steps, "loss": [window.mean(0).tolist() for window in windows]}
