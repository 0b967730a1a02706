"""Patching every head of a small language model, against transformer_lens and a plain loop, in the same run.

    python benchmarks/bench_patching.py [--prompts 32] [--prompts-by-pos 4] [--threads 1] [--repeats 5]

The network has the shape of pygpt-4l (4 layers, d_model 128, 4 heads, d_mlp 512, GELU, LN, rotary, vocabulary 2048)
and random weights; prompts have 64 tokens. Each way is given clean and corrupted tokens and returns the metric per
head and prompt, the clean run included. `loop` is what one writes by hand: one head at a time, from the patched layer
on through the bridge's own blocks, unembedding only where the metric reads. Rounds take the three in turns; times and
ratios are medians over rounds. The bound is the counted FLOPs of the two unedited runs and of all suffixes, cut down
as `energylens.interventions` cuts them, over the throughput of one bare product of a batch's MLP shape in that round;
norms, GELU, softmax and copies are not counted.
"""

import argparse
import contextlib
import io
import platform
from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch
import transformer_lens.patching as published

from energylens import interventions
from energylens.interventions.sweep import BATCH_LIMIT
from energylens.models.network import boot

N_LAYERS, D_MODEL, N_HEADS, D_HEAD, D_MLP, N_POS, D_VOCAB = 4, 128, 4, 32, 512, 64, 2048
HEADS = interventions.all_heads(N_LAYERS, N_HEADS)
Read = Callable[[torch.Tensor], torch.Tensor]


def network():
    config = dict(
        n_layers=N_LAYERS, d_model=D_MODEL, n_heads=N_HEADS, d_head=D_HEAD, d_mlp=D_MLP, act_fn="gelu"
    )
    config |= dict(normalization_type="LN", positional_embedding_type="rotary", n_ctx=N_POS, d_vocab=D_VOCAB)
    return boot(config).eval().requires_grad_(False)


def product_flops_per_second(repeats: int = 10) -> float:
    x, weight = torch.randn(BATCH_LIMIT * N_POS, D_MODEL), torch.randn(D_MODEL, D_MLP)
    start = perf_counter()
    for _ in range(repeats):
        x @ weight
    return repeats * 2 * x.numel() * D_MLP / (perf_counter() - start)


def row_flops(layer: int, start: int, stop: int, read: list[int]) -> int:
    """One prompt, z of one head changed in `layer` at positions start .. stop - 1, logits read at `read`."""
    product, mlp, unembed = 2 * D_MODEL * D_MODEL, 4 * D_MODEL * D_MLP, 2 * D_MODEL * D_VOCAB
    reads = [pos for pos in read if pos >= start]
    first = [pos for pos in (reads if layer == N_LAYERS - 1 else range(N_POS)) if start <= pos < stop]
    total, changed = len(first) * (2 * D_HEAD * D_MODEL + mlp), stop - start
    for later in range(layer + 1, N_LAYERS):
        queries = reads if later == N_LAYERS - 1 else list(range(start, N_POS))
        attention = 4 * D_MODEL * sum(pos + 1 for pos in queries)
        total += (
            product * (2 * changed + min(changed, len(queries)) + len(queries))
            + attention
            + mlp * len(queries)
        )
        changed = N_POS - start
    return total + unembed * len(first if layer == N_LAYERS - 1 else reads)


def unedited_flops(read: list[int]) -> int:
    """One prompt of a run that keeps every z."""
    product, mlp, unembed = 2 * D_MODEL * D_MODEL, 4 * D_MODEL * D_MLP, 2 * D_MODEL * D_VOCAB
    layer = 4 * product * N_POS + 4 * D_MODEL * N_POS * (N_POS + 1) // 2
    return N_LAYERS * layer + mlp * ((N_LAYERS - 1) * N_POS + len(read)) + unembed * len(read)


def counted_flops(prompts: int, read: list[int], by_pos: bool) -> int:
    spans = [(pos, pos + 1) for pos in range(N_POS)] if by_pos else [(0, N_POS)]
    suffixes = sum(row_flops(layer, *span, read) for layer, _ in HEADS for span in spans)
    return prompts * (suffixes + 2 * unedited_flops(read))


@torch.no_grad()
def by_transformer_lens(net, clean, corrupted, metric: Read, by_pos: bool) -> torch.Tensor:
    sweep = (
        published.get_act_patch_attn_head_out_by_pos
        if by_pos
        else published.get_act_patch_attn_head_out_all_pos
    )
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
        _, cache = net.run_with_cache(clean, names_filter=lambda name: name.endswith("hook_z"))
        values = sweep(net, corrupted, cache, metric, reduce="none").values
    return values.transpose(1, 2) if by_pos else values


@torch.no_grad()
def by_loop(net, clean, corrupted, metric: Read, read: slice) -> torch.Tensor:
    kept = [
        name
        for layer in range(N_LAYERS)
        for name in (f"blocks.{layer}.attn.hook_z", f"blocks.{layer}.hook_resid_mid")
    ]
    (_, source), (_, base) = (net.run_with_cache(tokens, names_filter=kept) for tokens in (clean, corrupted))
    values = []
    for layer, head in HEADS:
        z, block = f"blocks.{layer}.attn.hook_z", net.blocks[layer]
        x = base[f"blocks.{layer}.hook_resid_mid"]
        x = x + (source[z] - base[z])[:, :, head] @ block.attn.W_O[head]
        x = x + block.mlp(block.ln2(x))
        for later in range(layer + 1, N_LAYERS):
            x = net.blocks[later](x)[0]
        values.append(metric(net.unembed(net.ln_final(x[:, read]))))
    return torch.stack(values).unflatten(0, (N_LAYERS, N_HEADS))


def compare(name: str, ways: dict[str, Callable[[], torch.Tensor]], flops: int, rounds: int) -> None:
    results = [way() for way in ways.values()]
    error = max((result - results[0]).abs().max().item() for result in results)
    seconds: dict[str, list[float]] = {way: [] for way in [*ways, "bound"]}
    for _ in range(rounds):
        for way, work in ways.items():
            start = perf_counter()
            work()
            seconds[way].append(perf_counter() - start)
        seconds["bound"].append(flops / product_flops_per_second())
    print(f"{name}: {flops / 1e9:.1f} GFLOP, largest difference between the ways {error:.1e}")
    reference, ours = seconds["transformer_lens"], seconds["energylens"]
    for way, times in seconds.items():
        faster = median(a / b for a, b in zip(reference, times, strict=True))
        print(f"  {way:17} {median(times):7.3f} s  {faster:6.2f}x of transformer_lens")
    print(
        f"  energylens takes {median(a / b for a, b in zip(ours, seconds['bound'], strict=True)):.2f}x the bound"
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in [("prompts", 32), ("prompts-by-pos", 4), ("threads", 1), ("repeats", 5)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def all_heads(net, pair, ours: interventions.Metric, theirs: Read, read: slice, rounds: int) -> None:
    ways = {
        "transformer_lens": lambda: by_transformer_lens(net, *pair, theirs, False),
        "loop": lambda: by_loop(net, *pair, theirs, read),
        "energylens": lambda: interventions.patch_heads(net, *pair, ours).patched,
    }
    places = ours.positions(N_POS)[0].tolist()
    flops = counted_flops(len(pair[0]), places, False)
    compare(f"all heads, {len(pair[0])} prompts, read at {len(places)} of {N_POS}", ways, flops, rounds)


def heads_by_positions(net, pair, ours: interventions.Metric, theirs: Read, rounds: int) -> None:
    ways = {
        "transformer_lens": lambda: by_transformer_lens(net, *pair, theirs, True),
        "energylens": lambda: interventions.patch_heads(net, *pair, ours, by_pos=True).patched,
    }
    flops = counted_flops(len(pair[0]), ours.positions(N_POS)[0].tolist(), True)
    compare(f"heads x positions, {len(pair[0])} prompts, read at 1 of {N_POS}", ways, flops, rounds)


def logit_diff(logits):
    rows = torch.arange(len(logits))
    return logits[rows, -1, rows] - logits[rows, -1, rows + 50]


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    net, generator = network(), torch.Generator().manual_seed(0)
    pair = [torch.randint(D_VOCAB, (options.prompts, N_POS), generator=generator) for _ in range(2)]
    first, few = torch.arange(options.prompts), slice(0, options.prompts_by_pos)
    targets = torch.cat([pair[1][:, 1:], torch.full((options.prompts, 1), -100)], dim=1)
    diff, loss = interventions.LogitDiff(first, first + 50), interventions.NextTokenLoss(targets)

    def mean_loss(logits):
        each = torch.nn.functional.cross_entropy(logits.mT, targets, ignore_index=-100, reduction="none")
        return each.sum(1) / (N_POS - 1)

    print(f"{platform.machine()}, {options.threads} threads, float32, torch {torch.__version__}")
    all_heads(net, pair, diff, logit_diff, slice(N_POS - 1, N_POS), options.repeats)
    all_heads(net, pair, loss, mean_loss, slice(0, N_POS), options.repeats)
    rounds = min(3, options.repeats)
    heads_by_positions(net, [tokens[few] for tokens in pair], diff.rows(few), logit_diff, rounds)


if __name__ == "__main__":
    main()
