"""Train sparse autoencoders that differ in seed (or in L1 coefficient) as one batched computation.

Every contraction carries the leading axis `n_seeds`; initialisation and batches come from one generator per
seed, so that an SAE is the same whichever others train beside it. Master weights, Adam and its sums are
float32; the five matrix products of a step run in `Settings.dtype`. The gradient is written out (and tested
against autograd): it needs no graph, and the decoder's bias costs no sixth product. TopK can do without four of
the five products: see `energylens.sae.sparse`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energylens.errors import InputError
from energylens.sae.latents import latent_acts
from energylens.sae.weights import BETA_1, BETA_2, EPSILON, Settings, Trainer, Weights, initial_weights

Progress = Callable[[int, int, Mapping[str, float]], None]
REPORT_EVERY = 25


@dataclass(frozen=True)
class Trained:
    """Weights after training, the decoders they started from, and the reconstruction loss of every step."""

    weights: Weights
    W_dec_init: Float[Tensor, "n_seeds d_sae d_in"]
    losses: Float[Tensor, "steps n_seeds"]
    seconds: float


def loss_and_gradients(
    weights: Weights,
    x: Float[Tensor, "n_seeds batch d_in"],
    k: int | None,
    l1: Float[Tensor, " n_seeds"],
    dtype: torch.dtype,
) -> tuple[Float[Tensor, " n_seeds"], Weights]:
    """Reconstruction loss per seed, the batch mean of |x_hat - x|^2 / d_in, and gradients (as `Weights`).

    The gradients are those of this loss plus the mean over the batch of l1 |latent_acts|_1 / sqrt(d_in). For
    x with mean |x - mean|^2 = d_in the loss is the fraction of variance unexplained, and l1 means the same at
    every d_in.
    """
    n_samples, d_in = x.shape[1:]
    centred = (x - weights.b_dec.unsqueeze(1)).to(dtype)
    W_enc, W_dec = weights.W_enc.to(dtype), weights.W_dec.to(dtype)
    acts = latent_acts(torch.baddbmm(weights.b_enc.unsqueeze(1).to(dtype), centred, W_enc), k)
    sae_error = torch.baddbmm(centred, acts, W_dec, beta=-1)
    master = weights.W_enc.dtype
    loss = sae_error.to(master).square().mean((1, 2))

    grad_x_hat = sae_error * (2 / (n_samples * d_in))
    grad_l1 = (l1 / (n_samples * d_in**0.5)).reshape(-1, 1, 1).to(dtype)
    # relu's own backward, zero where acts <= 0: three times as fast as a product with the sign
    grad_pre = torch.ops.aten.threshold_backward(torch.baddbmm(grad_l1, grad_x_hat, W_dec.mT), acts, 0)
    grad_b_enc = grad_pre.sum(1).to(master)
    gradients = Weights(
        W_enc=torch.bmm(centred.mT, grad_pre).to(master),
        b_enc=grad_b_enc,
        W_dec=torch.bmm(acts.mT, grad_x_hat).to(master),
        b_dec=grad_x_hat.sum(1).to(master) - (weights.W_enc @ grad_b_enc.unsqueeze(-1)).squeeze(-1),
    )
    return loss, gradients


def index_batches(
    n: int, batch: int, generators: Sequence[torch.Generator]
) -> Iterator[Int[Tensor, "n_seeds batch"]]:
    """Endless batches of row numbers: each seed has its own permutations, what is left over is dropped."""
    if not 1 <= batch <= n:
        raise InputError(f"a batch must have 1 to {n} samples (the training activations), received {batch}")
    while True:
        order = torch.stack([torch.randperm(n, generator=generator) for generator in generators])
        yield from order[:, : n - n % batch].split(batch, dim=1)


def train(
    x: Float[Tensor, "n d_in"],
    seeds: Sequence[int],
    settings: Settings,
    k: int | None = None,
    l1: Sequence[float] | None = None,
    progress: Progress = lambda step, total, numbers: None,
) -> Trained:
    """One SAE per entry of `seeds` by the loss of `loss_and_gradients`, see `train_by`.

    `k` makes them TopK; `l1` has one coefficient per entry (default 0). Adam with a constant learning rate.
    Decoder rows stay on the unit sphere: the gradient's component along the row is removed (with an L1
    penalty, Adam otherwise spends its step on shrinking them), and after the step rows are divided by their
    norm.
    """
    coefficients = torch.tensor([0.0] * len(seeds) if l1 is None else list(l1))

    def trainer_of(initial: Weights) -> Trainer:
        return _trainer(initial, settings, k, coefficients)

    return train_by(trainer_of, x, seeds, settings, progress)


def train_by(
    trainer_of: Callable[[Weights], Trainer],
    x: Float[Tensor, "n d_in"],
    seeds: Sequence[int],
    settings: Settings,
    progress: Progress = lambda step, total, numbers: None,
) -> Trained:
    """One SAE per entry of `seeds` on the rows of `x`, centred and scaled as by `energylens.sae.scaling`.

    trainer_of: what takes the steps, given the weights to start from; a method with a loss of its own brings its own.
    Errors: InputError when the loss is no longer finite.
    """
    _keep_freed_memory()
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    initial = initial_weights(x.shape[1], settings.d_sae, generators)
    trainer = trainer_of(initial)
    losses = torch.empty(settings.steps, len(seeds))
    rows = index_batches(len(x), settings.batch, generators)
    start = perf_counter()
    for step in range(settings.steps):
        losses[step] = trainer.step(x[next(rows)])
        if (step + 1) % REPORT_EVERY == 0 or step + 1 == settings.steps:
            _report(step, losses[step], settings, progress)
    return Trained(trainer.weights, initial.W_dec, losses, perf_counter() - start)


def _trainer(initial: Weights, settings: Settings, k: int | None, l1: Float[Tensor, " n_seeds"]) -> Trainer:
    """The trainer of the kernel that is asked for; in bfloat16, ReLU SAEs train by dense products whichever it is."""
    if settings.kernel == "dense" or (k is None and settings.dtype is not torch.float32):
        return Dense(initial, settings, k, l1)
    try:
        from energylens.sae.sparse import Sparse
    except ImportError as error:
        raise InputError(
            f"the kernel 'sparse' needs numba, which can't be imported ({error}): pip install 'energylens[fast]', or "
            "ask for the kernel 'dense'"
        ) from None
    return Sparse(initial, settings, k, l1)


class Dense(Trainer):
    """Trainer of n_seeds SAEs by dense products, in which all latents take part."""

    def __init__(
        self, initial: Weights, settings: Settings, k: int | None, l1: Float[Tensor, " n_seeds"]
    ) -> None:
        self.settings, self.k, self.l1 = settings, k, l1
        self._weights = Weights(**{name: tensor.clone() for name, tensor in vars(initial).items()})
        trained = [self._weights.W_enc, self._weights.b_enc, self._weights.b_dec]
        trained += [self._weights.W_dec] * settings.train_decoder
        self._optimiser = torch.optim.Adam(
            trained, lr=settings.lr, betas=(BETA_1, BETA_2), eps=EPSILON, fused=True
        )

    @property
    def weights(self) -> Weights:
        """See `Trainer`."""
        return self._weights

    def step(self, x: Float[Tensor, "n_seeds batch d_in"]) -> Float[Tensor, " n_seeds"]:
        """See `Trainer`."""
        weights = self._weights
        losses, gradients = loss_and_gradients(weights, x, self.k, self.l1, self.settings.dtype)
        if self.settings.train_decoder:
            gradients = replace(gradients, W_dec=along_sphere(gradients.W_dec, weights.W_dec))
        for name, gradient in vars(gradients).items():
            getattr(weights, name).grad = gradient
        self._optimiser.step()
        if self.settings.train_decoder:
            weights.W_dec.div_(torch.linalg.vector_norm(weights.W_dec, dim=-1, keepdim=True))
        return losses


def along_sphere(
    gradient: Float[Tensor, "n_seeds d_sae d_in"], rows: Float[Tensor, "n_seeds d_sae d_in"]
) -> Float[Tensor, "n_seeds d_sae d_in"]:
    """The gradient without its component along each unit row: what changes a direction and not a length."""
    return gradient - (gradient * rows).sum(-1, keepdim=True) * rows


def _report(step: int, losses: Tensor, settings: Settings, progress: Progress) -> None:
    if not torch.isfinite(losses).all():
        raise InputError(f"the loss is {losses.tolist()} after step {step + 1}; lr is {settings.lr}")
    progress(step + 1, settings.steps, {"loss": float(losses.mean())})


def _keep_freed_memory() -> None:
    """Have glibc keep freed blocks: until it has freed one of nearly 32 MB it returns them to the kernel.

    Without this, page faults take a fifth of every step. It has no effect elsewhere.
    """
    torch.empty(31 << 20, dtype=torch.uint8)
