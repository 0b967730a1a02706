"""Fit a TuneLens recipe."""

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from energylens.errors import InputError
from energylens.lenses.logit import logit_lens
from energylens.lenses.site import site_hook
from energylens.lenses.tuned import TuneLens
from energylens.metrics.lens import Lens, Translator
from energylens.metrics.tuned_lens import fit_translator, mean_kl
from energylens.models.network import Network
from energylens.models.tasks.text import Text
from energylens.models.threads import torch_threads
from energylens.sae.activations import stream
from energylens.store.recipe import Artifact, Progress

N_HELD_OUT = 64
"""Windows of discovery documents on which the lens is measured before and after."""


def fit(recipe: TuneLens, inputs: Sequence[Artifact], progress: Progress) -> Artifact:
    """See `TuneLens`. Errors: InputError for a network without text, or too few training windows."""
    network, generator = Network.from_artifact(inputs[0]), Generator().manual_seed(recipe.seed)
    if not isinstance(network.task, Text):
        raise InputError(f"a tuned lens is fitted on text; {network.name} does {network.task.name!r}")
    task, lens = network.task.with_data(inputs[1]), logit_lens(network)
    windows, n = task.windows("train").tokens, -(-recipe.n_train // (task.n_ctx - 1))
    if n > len(windows):
        raise InputError(
            f"training documents have {len(windows)} windows, n_train {recipe.n_train} needs {n}"
        )
    start = perf_counter()
    with torch_threads(recipe.threads):
        chosen = windows[torch.randperm(len(windows), generator=generator)[:n]]
        x, x_final = _both_ends(network, recipe.hook_name, chosen, recipe.n_train)
        progress(1, 3, {})
        found = fit_translator(
            x, x_final, lens, steps=recipe.steps, lr=recipe.lr, batch=recipe.batch, generator=generator
        )
        progress(2, 3, {"kl": float(found.curve.min())})
        tuned = replace(lens, translator=Translator(found.A, found.b))
        held_out = task.held_out_windows(N_HELD_OUT, generator, "discovery").tokens
        ends = _both_ends(network, recipe.hook_name, held_out, None)
        measured = [mean_kl(lens, each, *ends, recipe.batch) for each in (lens, tuned)]
    tensors = {"A": found.A.numpy(), "b": found.b.numpy()}
    return Artifact(
        tensors, {"curve": found.curve.tolist(), "held_out": measured, "seconds": perf_counter() - start}
    )


def tuned_lens(network: Network, artifact: Artifact) -> Lens:
    """The logit lens of a network with the translator that a TuneLens artifact holds."""
    A, b = (torch.tensor(artifact.tensors[name]) for name in ("A", "b"))
    return replace(logit_lens(network), translator=Translator(A, b))


def _both_ends(
    network: Network, hook_name: str, windows: Int[Tensor, "window pos"], n: int | None
) -> tuple[Float[Tensor, "n d_model"], Float[Tensor, "n d_model"]]:
    """Residuals at the hook and after the last block, of the first n tokens, BOS left out."""
    ends = (hook_name, site_hook(network.n_layers, "late"))
    x, x_final = (stream(network, each, windows)[:, 1:].flatten(0, 1)[:n].contiguous() for each in ends)
    return x, x_final
