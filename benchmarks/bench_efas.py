"""EFAS of all latents against one training pass of the network over the same tokens; scaling, FLOPs, the null.

    python benchmarks/bench_efas.py [--tokens 8192] [--rounds 9] [--threads 1] [--skip-scaling] [--quick]

Networks have the zoo's shapes (d_model 128, vocabulary 2048, rotary) and random weights, tokens are random. Latents
are those of an SAE with random directions on the residual stream after the middle block: TopK, exactly 32 of 1024 per
token, and ReLU, whose thresholds let each latent fire at 60 of 1024 tokens. All is float32 unless said.

Budget: what is in the table is done batch by batch (2048 tokens: 16 windows of 128). EFAS is
(a) `AlignmentStatistics.update` and, once, `compute`; (b) and `energy_and_gradient`; (c) and the network's forward
pass (`Network.run`) and the encoding. The training pass is forward, cross entropy and backward to all weights, without
optimiser, of the bridge; beside it the trainer's own network. `loop` is what one writes by hand: for each latent, the
gradients projected on its direction, `torch.corrcoef`; `dense` all projections in one [tokens d_sae] product.
Rounds take all ways in turns; times are medians, ratios medians of the rounds' ratios.

Scaling: time as above, the points of an axis in turns, float32 normal inputs, all tokens in one call (the network: 2048
at a time). Memory: one fresh process per number, the growth of its resident peak (VmHWM, reset after inputs and a
small warm-up) over what it held before: inputs are not counted, results are. `getrusage` would inherit the parent's
peak. Exponents are least squares in log-log.

FLOPs: of the matrix products, by formula; norms, softmax, GELU, TopK's selection, sums over firing entries and copies
are not counted. Causal scores count in full, as they are computed. The limit is the time of these same products, bare,
in the same round. EFAS projects at firing entries only, so its limit is their share of the whole product's time.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor
from torch.nn.functional import cross_entropy

from energylens.metrics.alignment import Alignment, AlignmentStatistics
from energylens.metrics.energy import energy_and_gradient
from energylens.metrics.lens import LayerNorm, Lens
from energylens.metrics.permutation import document_null, document_permutations
from energylens.metrics.reservoir import TokenReservoir
from energylens.sae.latents import latent_acts
from energylens.sae.sae import encode
from energylens.sae.weights import Weights

if TYPE_CHECKING:
    from energylens.models.network import Network

D_MODEL, D_VOCAB, D_SAE, N_POS, BATCH = 128, 2048, 1024, 128, 2048
N_HEADS, D_HEAD, D_MLP = 4, 32, 512
KINDS = {"TopK": 32, "ReLU": None}
RELU_L0 = 60
AGREEMENT = 1e-5
Work = Callable[[], object]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def timed(ways: Mapping[str, Work], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each way, by round, after a first round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        say(f"  round {number} of {rounds}")
        for name, way in ways.items():
            start = perf_counter()
            way()
            seconds[name].append(perf_counter() - start)
    return {name: np.array(times[1:]) for name, times in seconds.items()}


def table(title: str, rows: list[list[object]], headers: list[str]) -> None:
    print(f"\n{title}\n\n{tabulate(rows, headers, tablefmt='github', floatfmt='.3g')}", flush=True)


def network(n_layers: int, n_pos: int = N_POS) -> "tuple[Network, torch.nn.Module]":
    """(Network, the trainer's network) of the zoo's shape."""
    from dataclasses import asdict, replace

    from energylens.models.network import Network, boot
    from energylens.models.transformer import Transformer
    from energylens.models.zoo import ZOO

    entry = ZOO["pygpt-2l"]
    config = replace(entry.config, n_layers=n_layers, n_ctx=max(n_pos, N_POS))
    assert (config.d_model, config.d_vocab, config.d_mlp) == (D_MODEL, D_VOCAB, D_MLP)
    made = Network(f"pygpt-{n_layers}l, untrained", 0, boot(asdict(config)), entry.task, {})
    return made, Transformer(config, seed=0)


def lens_of(bridge: Any) -> Lens:
    norm, unembed = bridge.ln_final, bridge.unembed
    return Lens(
        LayerNorm(norm.weight.detach(), norm.bias.detach(), 1e-5), unembed.weight.detach().T, unembed.b_U
    )


def training_pass(net: torch.nn.Module, arguments: tuple[None, ...], tokens: Tensor, targets: Tensor) -> None:
    """`arguments` come after the tokens: (None,) lets the trainer's network read every position."""
    net.zero_grad()
    cross_entropy(net(tokens, *arguments).flatten(0, 1), targets.flatten()).backward()


def bf16_pass(trainer: torch.nn.Module, tokens: Tensor, targets: Tensor) -> None:
    trainer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        logits = trainer(tokens, None)
    cross_entropy(logits.float().flatten(0, 1), targets.flatten()).backward()


class Batch(NamedTuple):
    """2048 tokens: the network's inputs, its residual stream, the energy's gradients, activations by kind."""

    tokens: Tensor
    targets: Tensor
    x: Tensor
    gradients: Tensor
    acts: dict[str, Tensor]


class Site:
    """The batches of one network, its lens and its two dictionaries; EFAS of both from three starting points."""

    def __init__(self, n_layers: int, n_tokens: int) -> None:
        self.net, self.trainer = network(n_layers)
        self.hook_name = f"blocks.{n_layers // 2 - 1}.hook_resid_post"
        self.lens = lens_of(self.net.bridge)
        generator = torch.Generator().manual_seed(0)
        shape = (n_tokens // BATCH, 2, BATCH // N_POS, N_POS)
        pairs = torch.randint(D_VOCAB, shape, generator=generator)
        streams = [self.stream(tokens) for tokens, _ in pairs]
        self.weights = dictionaries(torch.cat(streams), generator)
        self.batches = [
            Batch(
                pair[0],
                pair[1],
                x,
                self.gradients(x, pair[1]),
                {kind: self.encode(kind, x) for kind in KINDS},
            )
            for pair, x in zip(pairs, streams, strict=True)
        ]

    def stream(self, tokens: Tensor) -> Tensor:
        """The residual stream at the site, after a whole forward pass."""
        return self.net.run([self.hook_name], tokens)[self.hook_name].flatten(0, 1)

    def gradients(self, x: Tensor, targets: Tensor) -> Tensor:
        """Gradients of the gold lens energy; its values come with them."""
        return energy_and_gradient(self.lens, x, targets.flatten())[1]

    def encode(self, kind: str, x: Tensor) -> Tensor:
        """Latent activations of one of the dictionaries."""
        return encode(self.weights, list(KINDS).index(kind), x, KINDS[kind])

    def w_dec(self, kind: str) -> Tensor:
        """Decoder directions of one of the dictionaries."""
        return self.weights.W_dec[list(KINDS).index(kind)]

    def efas(self, kind: str, start: str) -> Alignment:
        """EFAS over all batches; `start` is what is at hand: tokens, stream or gradients."""
        statistics = AlignmentStatistics(self.w_dec(kind))
        for batch in self.batches:
            x, acts = batch.x, batch.acts[kind]
            if start == "tokens":
                x = self.stream(batch.tokens)
                acts = self.encode(kind, x)
            gradients = batch.gradients if start == "gradients" else self.gradients(x, batch.targets)
            statistics.update(acts, gradients)
        return statistics.compute()

    def train(self, step: Callable[[Tensor, Tensor], None]) -> None:
        """One training pass over each batch."""
        for batch in self.batches:
            step(batch.tokens, batch.targets)


def dictionaries(x: Tensor, generator: torch.Generator) -> Weights:
    """TopK's, without encoder biases, and ReLU's, with those by which each latent fires RELU_L0 / D_SAE of the time."""
    W_dec = torch.randn(len(KINDS), D_SAE, D_MODEL, generator=generator)
    W_dec /= torch.linalg.vector_norm(W_dec, dim=-1, keepdim=True)
    b_dec, W_enc = x.mean(0), W_dec.mT.contiguous()
    thresholds = ((x - b_dec) @ W_enc[1]).quantile(1 - RELU_L0 / D_SAE, dim=0)
    return Weights(W_enc, torch.stack([torch.zeros(D_SAE), -thresholds]), W_dec, b_dec.expand(len(KINDS), -1))


def by_loop(acts: Tensor, gradients: Tensor, W_dec: Tensor) -> Tensor:
    """EFAS one latent at a time."""
    pairs = zip(acts.T, W_dec, strict=True)
    return torch.stack([torch.corrcoef(torch.stack([a, -(gradients @ d)]))[0, 1] for a, d in pairs])


def by_dense_product(acts: Tensor, gradients: Tensor, W_dec: Tensor) -> Tensor:
    """EFAS from all [tokens d_sae] projections."""
    g = -(gradients @ W_dec.T)
    a, g = acts - acts.mean(0), g - g.mean(0)
    return (a * g).sum(0) / (a.square().sum(0) * g.square().sum(0)).sqrt()


def agreement(site: Site, kind: str) -> None:
    """Say how far the loop is from `efas_all`, in both precisions. Errors: AssertionError beyond AGREEMENT."""
    ours, acts, gradients = site.efas(kind, "gradients").efas_all, *joined(site, kind)
    far = {}
    for dtype in (torch.float32, torch.float64):
        theirs = by_loop(*(each.to(dtype) for each in (acts, gradients, site.w_dec(kind))))
        assert torch.equal(ours.isnan(), theirs.isnan())
        far[dtype] = (ours - theirs).abs().nan_to_num().max().item()
    l0, defined = (acts != 0).sum(1).float().mean().item(), int((~ours.isnan()).sum())
    print(
        f"{kind}: {l0:.1f} of {D_SAE} latents fire per token, {defined} have a value; loop against efas_all: at most "
        f"{far[torch.float32]:.1e} apart in float32, {far[torch.float64]:.1e} in float64"
    )
    assert max(far.values()) <= AGREEMENT


def joined(site: Site, kind: str) -> tuple[Tensor, Tensor]:
    return torch.cat([b.acts[kind] for b in site.batches]), torch.cat([b.gradients for b in site.batches])


def encode_all(site: Site, kind: str) -> None:
    for batch in site.batches:
        site.encode(kind, batch.x)


def budget(site: Site, n_layers: int, rounds: int) -> None:
    bridge, trainer = (
        partial(training_pass, site.net.bridge, ()),
        partial(training_pass, site.trainer, (None,)),
    )
    ways: dict[str, Work] = {
        "training pass, bridge": partial(site.train, bridge),
        "training pass, trainer": partial(site.train, trainer),
        "training pass, trainer, bf16": partial(site.train, partial(bf16_pass, site.trainer)),
        "forward, Network.run": lambda: [site.stream(batch.tokens) for batch in site.batches],
        "energy and gradient": lambda: [site.gradients(batch.x, batch.targets) for batch in site.batches],
    }
    for kind in KINDS:
        given = (*joined(site, kind), site.w_dec(kind))
        ways |= {
            f"{kind}: encoding": partial(encode_all, site, kind),
            f"{kind}: (a) update": partial(site.efas, kind, "gradients"),
            f"{kind}: (b) energy, gradient, update": partial(site.efas, kind, "stream"),
            f"{kind}: (c) forward, encoding, (b)": partial(site.efas, kind, "tokens"),
            f"{kind}: loop, from gradients": partial(by_loop, *given),
            f"{kind}: dense, from gradients": partial(by_dense_product, *given),
        }
    seconds = timed(ways, rounds)
    references = list(ways)[:3]
    rows = [
        [name, median(times) * 1e3, *(median(times / seconds[reference]) for reference in references)]
        for name, times in seconds.items()
    ]
    n_tokens = len(site.batches) * BATCH
    title = f"Budget, pygpt-{n_layers}l shape, {n_tokens} tokens, {D_SAE} latents: (b) <= 1.25 of the bridge's pass"
    table(title, rows, ["", "ms", "of bridge", "of trainer", "of bf16"])


class Product(NamedTuple):
    """A bare product [b m k] @ [b k n], `times` over; its time and FLOPs count by `share`."""

    b: int
    m: int
    k: int
    n: int
    times: int = 1
    share: float = 1.0
    dtype: torch.dtype = torch.float32

    @property
    def flops(self) -> float:
        """Two for each multiplication."""
        return 2 * self.share * self.times * self.b * self.m * self.k * self.n

    def backward(self) -> "list[Product]":
        """The products that give the gradients of the left and of the right factor."""
        return [self._replace(k=self.n, n=self.k), self._replace(m=self.k, k=self.m)]

    def runs(self) -> Work:
        """The product, on random numbers."""
        shape = () if self.b == 1 else (self.b,)
        left = torch.randn(*shape, self.m, self.k, dtype=self.dtype)
        right = torch.randn(*shape, self.k, self.n, dtype=self.dtype)

        def run() -> None:
            for _ in range(self.times):
                left @ right

        return run


def forward_products(n_layers: int) -> list[Product]:
    rows, heads = BATCH, BATCH // N_POS * N_HEADS
    return [
        Product(1, rows, D_MODEL, N_HEADS * D_HEAD, 4 * n_layers),
        Product(heads, N_POS, D_HEAD, N_POS, n_layers),
        Product(heads, N_POS, N_POS, D_HEAD, n_layers),
        Product(1, rows, D_MODEL, D_MLP, n_layers),
        Product(1, rows, D_MLP, D_MODEL, n_layers),
        Product(1, rows, D_MODEL, D_VOCAB),
    ]


def update_products(entries: int) -> list[Product]:
    """Projections at the firing entries, and the gradients' second moments in float64."""
    projections = Product(1, BATCH, D_MODEL, D_SAE, share=entries / (BATCH * D_SAE))
    return [projections, Product(1, D_MODEL, BATCH, D_MODEL, dtype=torch.float64)]


def flops(site: Site, n_layers: int, rounds: int) -> None:
    batch, forward = site.batches[0], forward_products(n_layers)
    both_ways = forward + [other for product in forward for other in product.backward()]
    at_once = 256
    energy = [
        Product(1, at_once, D_MODEL, D_VOCAB, BATCH // at_once),
        Product(1, at_once, D_VOCAB, D_MODEL, BATCH // at_once),
    ]
    nets: list[tuple[Any, tuple[None, ...]]] = [(site.net.bridge, ()), (site.trainer, (None,))]
    bridge, trainer = (partial(training_pass, net, more, *batch[:2]) for net, more in nets)
    parts: dict[str, tuple[Work, list[Product]]] = {
        "forward, Network.run": (partial(site.stream, batch.tokens), forward),
        "training pass, bridge": (bridge, both_ways),
        "training pass, trainer": (trainer, both_ways),
        "energy and gradient": (partial(site.gradients, batch.x, batch.targets), energy),
    }
    for kind in KINDS:
        acts, projected = batch.acts[kind], [Product(1, BATCH, D_MODEL, D_SAE)]
        given = (acts, batch.gradients, site.w_dec(kind))
        update = partial(AlignmentStatistics(site.w_dec(kind)).update, acts, batch.gradients)
        parts |= {
            f"{kind}: encoding": (partial(site.encode, kind, batch.x), projected),
            f"{kind}: update": (update, update_products(int((acts != 0).sum()))),
            f"{kind}: dense": (partial(by_dense_product, *given), projected),
            f"{kind}: loop": (partial(by_loop, *given), [Product(1, BATCH, D_MODEL, 1, D_SAE)]),
        }
    products = {product: product.runs() for _, needed in parts.values() for product in needed}
    names = {product: f"{product}" for product in products}
    ways = {name: work for name, (work, _) in parts.items()}
    seconds = timed(ways | {names[product]: run for product, run in products.items()}, rounds)
    rows = []
    for name, (_, needed) in parts.items():
        counted = sum(product.flops for product in needed)
        bare = np.stack([product.share * seconds[names[product]] for product in needed]).sum(0)
        rates = [median(counted / 1e9 / each) for each in (seconds[name], bare)]
        rows.append([name, counted / 1e6, median(seconds[name]) * 1e3, *rates, median(bare / seconds[name])])
    title = f"FLOPs of a batch of {BATCH} tokens, pygpt-{n_layers}l shape"
    table(title, rows, ["", "MFLOP", "ms", "GF/s", "limit GF/s", "share of limit"])


class Size(NamedTuple):
    """A point of the scaling tables."""

    tokens: int = 16384
    pos: int = N_POS
    d_sae: int = D_SAE


AXES = {
    "tokens": [Size(tokens=2**power) for power in range(12, 17)],
    "pos": [Size(pos=2**power) for power in range(5, 11)],
    "d_sae": [Size(tokens=8192, d_sae=2**power) for power in range(8, 14)],
}
PARTS = {
    "tokens": ("forward", "energy", "update"),
    "pos": ("forward", "attention", "energy", "update"),
    "d_sae": ("encoding", "update", "compute"),
}
SAYS = {
    "forward": "network's forward",
    "attention": "its attention alone",
    "energy": "energy and gradient",
    "encoding": "encoding, TopK 32",
    "update": "EFAS update, TopK 32",
    "compute": "EFAS compute, once",
}


def part_at(part: str, size: Size) -> Work:
    """The work of one part on inputs that are made here."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(size.tokens, D_MODEL, generator=generator)
    tokens = torch.randint(D_VOCAB, (size.tokens // size.pos, size.pos), generator=generator)
    W_dec = torch.nn.functional.normalize(torch.randn(size.d_sae, D_MODEL, generator=generator))
    if part in ("forward", "attention"):
        return network_part(part, tokens, x)
    if part == "energy":
        unembedding = torch.randn(D_MODEL, D_VOCAB, generator=generator) * 0.07
        norm = LayerNorm(torch.ones(D_MODEL), torch.zeros(D_MODEL), 1e-5)
        lens = Lens(norm, unembedding.T.contiguous().T, torch.zeros(D_VOCAB))
        return lambda: energy_and_gradient(lens, x.unflatten(0, tokens.shape), tokens)
    zeros = torch.zeros(1, max(size.d_sae, D_MODEL))
    weights = Weights(W_dec.T.contiguous()[None], zeros[:, : size.d_sae], W_dec[None], zeros[:, :D_MODEL])
    if part == "encoding":
        return lambda: encode(weights, 0, x, KINDS["TopK"])
    pieces = [
        encode(weights, 0, torch.randn(len(p), D_MODEL, generator=generator), 32) for p in x.split(BATCH)
    ]
    acts, statistics = torch.cat(pieces), AlignmentStatistics(W_dec)
    statistics.update(acts[:256], x[:256])
    return statistics.compute if part == "compute" else lambda: statistics.update(acts, x)


def network_part(part: str, tokens: Tensor, x: Tensor) -> Work:
    """All blocks and the unembedding, or the attention of all blocks alone; 2048 tokens at a time."""
    n_pos = tokens.shape[1]
    net, _ = network(2, n_pos)
    batch = max(1, BATCH // n_pos)
    if part == "forward":
        return lambda: net.run(["blocks.1.hook_resid_post"], tokens, batch=batch)

    @torch.no_grad()
    def attention() -> None:
        for piece in x.unflatten(0, tokens.shape).split(batch):
            for block in net.bridge.blocks:
                block.attn(piece)

    return attention


def scaling(rounds: int, quick: bool) -> None:
    for axis, sizes in AXES.items():
        sizes = sizes[:2] if quick else sizes
        points = {f"{part} {number}": (part, s) for part in PARTS[axis] for number, s in enumerate(sizes)}
        say(f"scaling with {axis}: time")
        seconds = timed({name: part_at(*point) for name, point in points.items()}, rounds)
        say(f"scaling with {axis}: memory of {len(points)} processes")
        mebibytes = {name: peak_in_child(*point) / 2**20 for name, point in points.items()}
        at = [getattr(size, axis) for size in sizes]
        rows: list[list[object]] = []
        for part in PARTS[axis]:
            names = [f"{part} {number}" for number in range(len(sizes))]
            ms = [median(seconds[name]) * 1e3 for name in names]
            peaks = [mebibytes[name] for name in names]
            for name, unit, values in ((SAYS[part], "ms", ms), ("", "MiB", peaks)):
                rows.append([name, unit, *values, exponent(at, values), exponent(at[-2:], values[-2:])])
        fixed = ", ".join(f"{name} {n}" for name, n in sizes[0]._asdict().items() if name != axis)
        headers = ["part", "", *map(str, at), "exponent", "last two"]
        table(f"Scaling with {axis}; {fixed}", rows, headers)


def exponent(at: list[int], values: list[float]) -> float:
    """Slope of log values on log at; NaN where a value is less than what can be told from 0."""
    if min(values) < 1e-2:
        return float("nan")
    return float(np.polyfit(np.log(at), np.log(values), 1)[0])


def peak_in_child(part: str, size: Size) -> int:
    """Bytes that a fresh process needs for this part beyond its inputs. Blocks are returned when freed."""
    say(f"  {part} {size}")
    command = [sys.executable, __file__, "--point", json.dumps([part, size])]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**16), "MALLOC_TRIM_THRESHOLD_": "0"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return int(done.stdout)


def peak_bytes(part: str, size: Size) -> int:
    part_at(part, Size(2 * size.pos if size.pos > N_POS else 256, size.pos, size.d_sae))()
    work = part_at(part, size)
    Path("/proc/self/clear_refs").write_text("5")
    before = status_bytes("VmRSS")
    work()
    return status_bytes("VmHWM") - before


def status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def null_and_reservoir(rounds: int, quick: bool) -> None:
    """document_null beside as many updates on permuted documents, and the reservoir beside the update."""
    documents, positions, draws = 16, 256 if quick else 1024, 19 if quick else 199
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(documents, positions, D_MODEL, generator=generator)
    W_dec = torch.nn.functional.normalize(torch.randn(D_SAE, D_MODEL, generator=generator))
    pre_acts = torch.randn(documents, positions, D_SAE, generator=generator)
    acts, permutations = latent_acts(pre_acts, 32), document_permutations(documents, draws, generator)
    rows, batches = (acts.flatten(0, 1), gradients.flatten(0, 1)), documents * positions // BATCH
    statistics = AlignmentStatistics(W_dec)
    pairs = [list(each.split(BATCH)) for each in rows]

    def null(n: int) -> Work:
        return lambda: document_null(acts[:, :, :n].contiguous(), gradients, W_dec[:n], permutations)

    def reservoir(passes: int) -> None:
        kept = TokenReservoir(4096, torch.Generator().manual_seed(0))
        for _ in range(passes):
            for pair in zip(*pairs, strict=True):
                kept.update(*pair)

    ways: dict[str, Work] = {
        "document_null, 20 latents": null(20),
        f"document_null, {D_SAE} latents": null(D_SAE),
        f"one update of {D_SAE} latents": lambda: statistics.update(*rows),
        "one pass of the reservoir": lambda: reservoir(1),
        "four passes of the reservoir": lambda: reservoir(4),
    }
    seconds = timed(ways, rounds)
    ms = {name: median(times) * 1e3 for name, times in seconds.items()}
    title = f"{documents} documents x {positions} positions, {draws} draws"
    lines: list[list[object]] = [[name, ms[name], ms[name] / draws] for name in list(ways)[:2]]
    update = ms[f"one update of {D_SAE} latents"]
    lines.append([f"{draws} times update of {D_SAE} latents, one timed", update * draws, update])
    table(title, lines, ["", "ms", "ms per draw"])
    one, four = (seconds[name] for name in list(ways)[3:])
    n = batches * BATCH
    per_token: list[list[object]] = [
        [f"TokenReservoir(4096).update, first {n} tokens", median(one) * 1e6 / n],
        [f"TokenReservoir(4096).update, next {3 * n} tokens", median(four - one) * 1e6 / (3 * n)],
        ["AlignmentStatistics.update", update * 1e3 / n],
    ]
    table(f"Per token, {D_SAE} latents, TopK 32, batches of {BATCH}", per_token, ["", "microseconds"])


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in [("tokens", 8192), ("rounds", 9), ("threads", 1)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--skip-scaling", action="store_true", help="the other tables only")
    parser.add_argument("--quick", action="store_true", help="one batch, two rounds, two points per axis")
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    if options.point:
        print(peak_bytes(options.point[0], Size(*options.point[1])))
        return
    rounds, n_tokens = (2, BATCH) if options.quick else (options.rounds, options.tokens)
    print(f"{platform.machine()}, {options.threads} threads, float32, torch {torch.__version__}")
    for n_layers in (2, 4):
        say(f"{n_layers} layers")
        site = Site(n_layers, n_tokens)
        if n_layers == 2:
            for kind in KINDS:
                agreement(site, kind)
        budget(site, n_layers, rounds)
        if n_layers == 2:
            flops(site, n_layers, 2 * rounds)
    say("null and reservoir")
    null_and_reservoir(min(5, rounds), options.quick)
    if not options.skip_scaling:
        scaling(min(5, rounds), options.quick)


if __name__ == "__main__":
    main()
