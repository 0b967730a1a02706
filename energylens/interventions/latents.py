"""Dictionary latents at one residual site: exact ablation and steering, through the rest of the network.

Both add c d_f to the residual stream x, d_f a decoder direction: c = -a_f (the latent's own activation) takes
exactly that latent's contribution out; c = alpha s at chosen positions steers. What the dictionary does not explain
(the SAE error) and all other latents' contributions stay as they are; nothing is encoded again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from energylens.errors import InputError
from energylens.interventions.ablation import Ablated
from energylens.interventions.metric import Metric
from energylens.interventions.prompts import Mask, Tokens, as_tokens
from energylens.interventions.residual import ResidualRunner, residual_runner
from energylens.interventions.shifts import Shifts, sweep_shifts
from energylens.interventions.sweep import BATCH_LIMIT, Batch

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge


@dataclass(frozen=True, eq=False)
class AblatedLatents(Ablated):
    """Metric values [latent, prompt] with one latent ablated, and of the network as it is (`base`).

    reached: whether the latent fires where the metric can see it. Elsewhere nothing was run: the value is `base`.
    """

    reached: Bool[Tensor, "latent prompt"]


@dataclass(frozen=True, eq=False)
class Steered:
    """Metric values of runs steered along directions, along `random` ones by the same step, and unsteered (`base`).

    step: how far every steered token moved, ||x' - x||. reached: whether a prompt is steered where the metric can
    see it; elsewhere nothing was run and all values are `base`.
    """

    steered: Float[Tensor, "direction prompt"]
    random: Float[Tensor, "random prompt"]
    base: Float[Tensor, " prompt"]
    step: float
    reached: Bool[Tensor, " prompt"]

    def change(self) -> Float[Tensor, "direction prompt"]:
        """steered - base, in the metric's unit."""
        return self.steered - self.base

    def random_change(self) -> Float[Tensor, "random prompt"]:
        """random - base, in the metric's unit."""
        return self.random - self.base


def ablate_latents(
    bridge: "TransformerBridge",
    tokens: Tokens,
    metric: Metric,
    hook_name: str,
    latent_acts: Float[Tensor, "_ _ _"],
    W_dec: Float[Tensor, "_ _"],
    *,
    latents: Sequence[int] | None = None,
    mask: Mask | None = None,
    batch_limit: int = BATCH_LIMIT,
) -> AblatedLatents:
    """x - a_f d_f at every position, for one latent at a time: values [latent, prompt], in the order of `latents`.

    hook_name: `blocks.L.hook_resid_post` or `_pre`, where latent_acts [prompt, pos, d_sae] were encoded. d_f is a
    row of W_dec [d_sae, d_model], at the length that it has in the reconstruction. latents: by default all. mask:
    True at tokens, for padded prompts; activations at padding are not read. batch_limit: rows (a latent and a
    prompt) per forward, the bound on memory (see `sweep.BATCH_LIMIT`) beside a few numbers per latent and token.
    Errors: InputError for an unknown hook name (with the nearest), activations of other prompts or of another
    dictionary, a latent out of range, NaN or infinity, a decoder row of zeros, a metric that reads padding;
    HookWithoutEffect where the bridge does not read back what is written at hook_name.
    Source: Marks et al. 2024 (arXiv:2403.19647), whose SAE error is a term of its own as well.
    """
    runner, tokens = residual_runner(bridge, hook_name), as_tokens(tokens, mask)
    expected = (*tokens.shape, len(W_dec))
    if latent_acts.shape != expected:
        raise InputError(
            f"activations must be [prompt, pos, decoder row] = {list(expected)}, got {list(latent_acts.shape)}"
        )
    chosen = _chosen(latents, len(W_dec))
    directions = _checked(W_dec.detach()[chosen], "decoder row", bridge.cfg.d_model, chosen)
    acts = latent_acts.detach()[..., chosen]
    acts = acts if mask is None else acts.where(mask.to(acts.device)[..., None], 0)
    if not acts.isfinite().all():
        row, pos, at = (~acts.isfinite()).nonzero()[0].tolist()
        raise InputError(
            f"the activation of latent {chosen[at]} at {(row, pos)} is {float(acts[row, pos, at])}"
        )
    batch = Batch.of(runner, tokens, mask, metric)
    return AblatedLatents(*sweep_shifts(runner, batch, Shifts(directions, -acts.movedim(-1, 0)), batch_limit))


def steer(
    bridge: "TransformerBridge",
    tokens: Tokens,
    metric: Metric,
    hook_name: str,
    directions: Float[Tensor, "_ _"],
    alpha: float,
    *,
    random: Float[Tensor, "_ _"],
    positions: Bool[Tensor, "_ _"] | None = None,
    norm: float | None = None,
    mask: Mask | None = None,
    batch_limit: int = BATCH_LIMIT,
) -> Steered:
    """x + alpha s d at some positions, for one unit direction d at a time: values [direction, prompt].

    alpha is in units of s, the root mean square over tokens of ||x|| at the site: every steered token moves by
    |alpha| s, whatever its own norm. s is `stream_norm` of the steered positions of these prompts, or `norm` where
    another sample is to set it. positions [prompt, pos]: True where x is steered, by default at every token.
    random [n, d_model]: directions to compare with, say `random_directions` or covariance-matched draws, steered
    by the same step. hook_name, mask and batch_limit as in `ablate_latents`.
    Errors: as there; also InputError for directions that are not of unit norm (NaN ones among them), an alpha or a
    norm that is 0 or not finite, positions of another shape, at padding or nowhere.
    Source: Turner et al. 2023 (arXiv:2308.10248).
    """
    runner, tokens = residual_runner(bridge, hook_name), as_tokens(tokens, mask)
    d_model, n = bridge.cfg.d_model, len(directions)
    if n == 0:
        raise InputError("no directions to steer along, got 0 rows")
    both = ((directions, "direction"), (random.to(directions), "random direction"))
    rows = torch.cat([_unit(given.detach(), name, d_model) for given, name in both])
    where = _positions(positions, tokens, mask)
    batch = Batch.of(runner, tokens, mask, metric)
    norm = _norm(runner, tokens, where, mask, batch_limit) if norm is None else norm
    step = alpha * norm
    if step == 0 or not math.isfinite(step):
        raise InputError(f"a step of alpha {alpha} times norm {norm} leads nowhere")
    sizes = (step * where.to(rows)).expand(len(rows), -1, -1)
    values, base, reached = sweep_shifts(runner, batch, Shifts(rows, sizes), batch_limit)
    return Steered(values[:n], values[n:], base, abs(step), reached[0])


def random_directions(n: int, d_model: int, generator: torch.Generator) -> Float[Tensor, "n d_model"]:
    """n unit vectors, uniform on the sphere. Covariance-matched ones are x = L z, C = L L^T, over their norms."""
    draws = torch.randn(n, d_model, generator=generator, device=generator.device)
    return draws / draws.norm(dim=-1, keepdim=True)


def stream_norm(
    bridge: "TransformerBridge",
    tokens: Tokens,
    hook_name: str,
    *,
    positions: Bool[Tensor, "_ _"] | None = None,
    mask: Mask | None = None,
    batch_limit: int = BATCH_LIMIT,
) -> float:
    """sqrt(mean ||x||^2) over the tokens at `positions` (by default all), x the residual stream at the site.

    Not centred. The first token of a text often has a norm of its own, many times that of the others: leave it out
    by `positions` where it is not steered. Errors as in `steer`.
    """
    runner, tokens = residual_runner(bridge, hook_name), as_tokens(tokens, mask)
    return _norm(runner, tokens, _positions(positions, tokens, mask), mask, batch_limit)


@torch.no_grad()
def _norm(
    runner: ResidualRunner, tokens: Tensor, where: Tensor, mask: Mask | None, batch_limit: int
) -> float:
    if batch_limit < 1:
        raise InputError(f"batch_limit must be at least 1, got {batch_limit}")
    total = 0.0
    for rows in torch.arange(len(tokens)).split(batch_limit):
        real = None if mask is None else mask[rows].to(runner.device)
        # A run has to read something; one token of each prompt is the least.
        read = where[rows].to(torch.uint8).argmax(1, keepdim=True).to(runner.device)
        run: Any = runner.run(tokens[rows].to(runner.device), real, read)
        squares = runner.stream(run).double().square().sum(-1)
        total += float(squares[where[rows].to(squares.device)].sum())
    return math.sqrt(total / int(where.sum()))


def _chosen(latents: Sequence[int] | None, d_sae: int) -> list[int]:
    chosen = list(range(d_sae)) if latents is None else [int(latent) for latent in latents]
    for latent in chosen:
        if not 0 <= latent < d_sae:
            raise InputError(f"latent {latent} is out of range: 0 to {d_sae - 1}")
    return chosen


def _checked(
    rows: Tensor, name: str, d_model: int, numbers: Sequence[int] | None = None
) -> Float[Tensor, "row d_model"]:
    """Errors: InputError for rows of another size, with NaN or infinity, or of zeros; `numbers` are their names."""
    if rows.ndim != 2 or rows.shape[1] != d_model:
        raise InputError(f"a {name} must have {d_model} dimensions, got {list(rows.shape)}")
    norms = rows.norm(dim=-1)
    wrong = ~norms.isfinite() | (norms == 0)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise InputError(f"{name} {row if numbers is None else numbers[row]} has norm {float(norms[row])}")
    return rows


def _unit(rows: Tensor, name: str, d_model: int) -> Float[Tensor, "row d_model"]:
    """Errors: InputError as in `_checked`, and for a norm off 1 by more than sqrt(eps), 3e-4 in float32."""
    norms = _checked(rows, name, d_model).norm(dim=-1)
    wrong = (norms - 1).abs() > torch.finfo(rows.dtype).eps ** 0.5
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise InputError(f"{name} {row} has norm {float(norms[row]):.4g}, not 1: divide each by its norm")
    return rows


def _positions(positions: Tensor | None, tokens: Tensor, mask: Mask | None) -> Bool[Tensor, "prompt pos"]:
    real = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
    if positions is None:
        return real
    if positions.shape != tokens.shape or positions.dtype != torch.bool:
        raise InputError(
            f"positions must be bool {list(tokens.shape)} like the tokens, got {positions.dtype} "
            f"{list(positions.shape)}"
        )
    positions = positions.to(real.device)
    if (positions & ~real).any():
        row, pos = (positions & ~real).nonzero()[0].tolist()
        raise InputError(f"position {pos} of prompt {row} is padding")
    if not positions.any():
        raise InputError("positions are all False: no token is named")
    return positions
