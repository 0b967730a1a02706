"""Train sparse autoencoders that differ in seed (or in L1 coefficient) as one batched computation.

Every contraction carries the leading axis `n_seeds`; initialisation and batches come from one generator per
seed, so that an SAE is the same whichever others train beside it. Master weights, Adam and its sums are
float32; the five matrix products of a step run in `Settings.dtype`. The gradient is written out (and tested
against autograd): it needs no graph, and the decoder's bias costs no sixth product. TopK can do without four of
the five products: see `energylens.sae.sparse`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energylens.errors import InputError
from energylens.sae.dense import Dense
from energylens.sae.weights import Settings, Trainer, Weights, initial_weights

Progress = Callable[[int, int, Mapping[str, float]], None]
REPORT_EVERY = 25


@dataclass(frozen=True)
class Trained:
    """Weights after training, the decoders they started from, and the reconstruction loss of every step."""

    weights: Weights
    W_dec_init: Float[Tensor, "n_seeds d_sae d_in"]
    losses: Float[Tensor, "steps n_seeds"]
    seconds: float


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


def _report(step: int, losses: Tensor, settings: Settings, progress: Progress) -> None:
    if not torch.isfinite(losses).all():
        raise InputError(f"the loss is {losses.tolist()} after step {step + 1}; lr is {settings.lr}")
    progress(step + 1, settings.steps, {"loss": float(losses.mean())})


def _keep_freed_memory() -> None:
    """Have glibc keep freed blocks: until it has freed one of nearly 32 MB it returns them to the kernel.

    Without this, page faults take a fifth of every step. It has no effect elsewhere.
    """
    torch.empty(31 << 20, dtype=torch.uint8)
