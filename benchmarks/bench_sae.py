"""Samples per second of SAE training (five seeds, two threads) beside the matrix-product ceiling of that run.

    python benchmarks/bench_sae.py [--steps 400] [--threads 2] [--dtype bf16]

Per sample and seed a dense step makes five products of 2 d_in d_sae FLOPs each (encoder, decoder, and three
backward); the sparse kernel makes the first of them and 8 d_in k FLOPs on the rows that fire, in one thread. Adam,
TopK's selection and other elementwise work are not counted. The ceiling is one bare product of a step's own shape,
timed in turns with the training, so that a busy machine slows both. `ratio` is counted FLOP/s over the ceiling's, and
`of dense` the rate over that of the same SAEs by dense products.
"""

import argparse
import platform
from statistics import median
from time import perf_counter

import torch

from energylens.sae.kernels import Kernel
from energylens.sae.train import train
from energylens.sae.weights import Settings

D_IN, D_SAE, BATCH, K = 128, 1024, 512, 32
SEEDS = (42, 123, 456, 789, 1011)
DENSE_FLOPS = 5 * 2 * D_IN * D_SAE
SPARSE_FLOPS = 2 * D_IN * D_SAE + 8 * D_IN * K
KINDS = {
    "ReLU": (None, "dense", DENSE_FLOPS),
    f"TopK {K}, dense": (K, "dense", DENSE_FLOPS),
    f"TopK {K}, sparse": (K, "sparse", SPARSE_FLOPS),
}
ROUNDS = 10
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


def product_flops_per_second(dtype: torch.dtype, repeats: int = 30) -> float:
    """FLOP/s of [seeds batch d_in] @ [seeds d_in d_sae], the encoder's product."""
    x = torch.randn(len(SEEDS), BATCH, D_IN).to(dtype)
    weights = torch.randn(len(SEEDS), D_IN, D_SAE).to(dtype)
    torch.bmm(x, weights)
    start = perf_counter()
    for _ in range(repeats):
        torch.bmm(x, weights)
    return repeats * 2 * len(SEEDS) * BATCH * D_IN * D_SAE / (perf_counter() - start)


def samples_per_second(
    x: torch.Tensor, steps: int, dtype: torch.dtype, k: int | None, kernel: Kernel
) -> float:
    """Samples of all seeds together per second of training."""
    trained = train(x, SEEDS, Settings(D_SAE, steps, BATCH, dtype=dtype, kernel=kernel), k)
    return steps * BATCH * len(SEEDS) / trained.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400, help="steps per kind, in all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dtype = DTYPES[options.dtype]
    x = torch.randn(10_769, D_IN, generator=torch.Generator().manual_seed(0))
    for k, kernel, _ in KINDS.values():
        train(x, SEEDS, Settings(D_SAE, 5, BATCH, dtype=dtype, kernel=kernel), k)

    print(f"{platform.machine()}, {options.threads} threads, {options.dtype}, torch {torch.__version__}")
    print(f"{len(SEEDS)} seeds, d_in {D_IN}, d_sae {D_SAE}, batch {BATCH}")
    rates: dict[str, list[float]] = {name: [] for name in KINDS}
    ceilings: dict[str, list[float]] = {name: [] for name in KINDS}
    for _ in range(ROUNDS):
        for name, (k, kernel, _flops) in KINDS.items():
            ceilings[name].append(product_flops_per_second(dtype))
            rates[name].append(samples_per_second(x, options.steps // ROUNDS, dtype, k, kernel))
    dense = rates[f"TopK {K}, dense"]
    for name, (_, _, flops) in KINDS.items():
        ratio = median(
            rate * flops / ceiling for rate, ceiling in zip(rates[name], ceilings[name], strict=True)
        )
        speedup = median(one / other for one, other in zip(rates[name], dense, strict=True))
        print(
            f"{name:16} {median(rates[name]):9,.0f} samples/s, {flops / 1e6:.2f} MFLOP per sample, "
            f"ceiling {median(ceilings[name]) / 1e9:6.1f} GF/s, ratio {ratio:.2f}, {speedup:.2f} of dense TopK "
            f"(medians of {ROUNDS} rounds)"
        )


if __name__ == "__main__":
    main()
