"""From a recipe to stored SAEs: split and scale the activations, find L1 if need be, train, measure."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energylens.metrics.reconstruction import explained_variance
from energylens.models.threads import torch_threads
from energylens.sae.activations import training_and_held_out
from energylens.sae.match import matched_l1
from energylens.sae.recipe import TrainSAEs
from energylens.sae.sae import SAEs
from energylens.sae.scaling import Scaling
from energylens.sae.train import REPORT_EVERY, Trained, train
from energylens.sae.variants import MatchedReLU, ReLU, TopK
from energylens.sae.weights import Settings
from energylens.store.recipe import JSON, Artifact, Progress

ROWS_AT_ONCE = 2048
"""Rows encoded at once when SAEs are measured: at 1024 latents 8 MB."""

ROWS_MEASURED = 40_000
"""Training activations, from the first, on which SAEs are measured; all of a smaller sample."""


def build(recipe: TrainSAEs, inputs: Sequence[Artifact], progress: Progress) -> Artifact:
    """Tensors W_enc, b_enc, W_dec, b_dec, W_dec_init (leading axis n_seeds), in the units of the activations.

    meta: seeds, k, `scale` (activations were multiplied by it for training), `search` (trials of the L1
    search), `curve` (step, loss: mean fraction of variance unexplained since the last entry), `seconds`,
    `samples_per_second`; lists over seeds: `l1`; on held-out activations `explained_variance` and `l0`; on
    the first ROWS_MEASURED training activations `l0_train` and `dead_fraction` (latents that fire on none of them).
    """
    with torch_threads(recipe.threads):
        train_x, heldout_x = training_and_held_out(inputs, recipe)
        scaling = Scaling.of(train_x)
        trained, fitted = _fit(recipe, scaling.apply(train_x), progress)
        weights = scaling.undo(trained.weights)
        meta = {
            "seeds": list(recipe.seeds),
            "k": recipe.variant.k if isinstance(recipe.variant, TopK) else None,
            "scale": scaling.factor,
            **fitted,
            "curve": _curve(trained.losses),
            "seconds": trained.seconds,
            "samples_per_second": recipe.steps * recipe.batch * len(recipe.seeds) / trained.seconds,
        }
        saes = SAEs(recipe.seeds, meta["k"], weights, trained.W_dec_init, meta)
        measured = _measured(saes, train_x, heldout_x)
    tensors = {**vars(weights), "W_dec_init": trained.W_dec_init}
    return Artifact({name: tensor.numpy() for name, tensor in tensors.items()}, {**meta, **measured})


def _fit(
    recipe: TrainSAEs, x: Float[Tensor, "n d_in"], progress: Progress
) -> tuple[Trained, dict[str, JSON]]:
    """Train on scaled activations; the L1 coefficients used, and the trials that found them."""
    dtype = torch.bfloat16 if recipe.autocast == "bf16" else torch.float32
    settings = Settings(
        recipe.d_sae, recipe.steps, recipe.batch, recipe.lr, recipe.decoder == "trained", dtype,
        recipe.kernel,
    )  # fmt: skip
    k, l1, searched = None, 0.0, 0
    search: list[dict[str, float]] = []
    match recipe.variant:
        case TopK():
            k = recipe.variant.k
        case ReLU():
            l1 = recipe.variant.l1
        case MatchedReLU(l0=target, search_seed=seed, start=start):
            found = matched_l1(x, target, seed, settings, _shifted(progress, 0, recipe.steps), start)
            l1, search, searched = found.l1, found.trials, found.rounds * recipe.steps
    coefficients = [l1] * len(recipe.seeds)
    trained = train(x, recipe.seeds, settings, k, coefficients, _shifted(progress, searched, 0))
    return trained, {"l1": coefficients, "search": search}


def _shifted(progress: Progress, before: int, after: int) -> Progress:
    """Report steps of one training among those `before` and `after` it."""
    return lambda step, total, numbers: progress(before + step, before + total + after, numbers)


def _measured(
    saes: SAEs, train_x: Float[Tensor, "n_train d_in"], heldout_x: Float[Tensor, "n_heldout d_in"]
) -> dict[str, list[float]]:
    """Per seed, what the docstring of `build` lists."""
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
