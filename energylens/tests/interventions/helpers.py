"""Tiny bridges with random weights of every kind the executors meet, prompts for them, and slow references."""

import functools
import tempfile
import warnings

import torch

from energylens.interventions import padded
from energylens.models.network import boot

N_LAYERS, N_HEADS, N_VOCAB = 3, 4, 30
SIZES = dict(n_layers=N_LAYERS, d_model=16, n_heads=N_HEADS, d_head=4, d_mlp=32, n_ctx=10, d_vocab=N_VOCAB)
NATIVE = {
    "rotary": dict(positional_embedding_type="rotary", act_fn="gelu", normalization_type="LN"),
    "learned": dict(positional_embedding_type="standard", act_fn="relu", normalization_type="LN"),
    "attention-only": dict(positional_embedding_type="rotary", attn_only=True, normalization_type="LN"),
    "no-norm": dict(positional_embedding_type="standard", act_fn="gelu_new", normalization_type=None),
    "partly-rotary": dict(positional_embedding_type="rotary", rotary_dim=2, normalization_type="LNPre"),
}
OTHER_NATIVE = {
    "grouped-keys": dict(positional_embedding_type="rotary", normalization_type="LN", n_key_value_heads=2),
    "gated": dict(positional_embedding_type="rotary", normalization_type="RMS", gated_mlp=True),
}
PRETRAINED = ("gpt2", "pythia")
ALL = (*NATIVE, *OTHER_NATIVE, *PRETRAINED)


@functools.cache
def bridge(kind: str):
    """A bridge in evaluation mode; don't change it."""
    return pretrained(kind) if kind in PRETRAINED else native(**(NATIVE | OTHER_NATIVE)[kind])


def native(seed: int = 0, scale: float = 0.5, **changes):
    """A native bridge whose weights and biases are all random."""
    made = boot(SIZES | changes)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in made.named_parameters():
        draws = torch.randn(parameter.shape, generator=generator)
        norm = "ln" in name and name.endswith("weight")
        parameter.data = 1 + 0.3 * draws if norm else scale * draws / SIZES["d_model"] ** 0.25
    return made.eval().requires_grad_(False)


def pretrained(kind: str):
    """A network of the transformers library, wrapped as a pretrained one would be; nothing is downloaded."""
    import transformers
    from transformer_lens.model_bridge import TransformerBridge

    common = dict(vocab_size=N_VOCAB, initializer_range=0.3)
    torch.manual_seed(0)
    if kind == "gpt2":
        config = transformers.GPT2Config(
            n_positions=10, n_embd=16, n_layer=N_LAYERS, n_head=N_HEADS, **common
        )
        model = transformers.GPT2LMHeadModel(config)
    else:
        shape = dict(
            hidden_size=16, num_hidden_layers=N_LAYERS, num_attention_heads=N_HEADS, intermediate_size=32
        )
        config = transformers.GPTNeoXConfig(max_position_embeddings=10, rotary_pct=0.5, **shape, **common)
        model = transformers.GPTNeoXForCausalLM(config)
    config.architectures = [type(model).__name__]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config.save_pretrained(folder)
        made = TransformerBridge.boot_transformers(folder, hf_model=model)
    return made.eval().requires_grad_(False)


def prompts(n: int = 5, n_pos: int = 8, seed: int = 0, shared: int = 0):
    """(clean, corrupted), the same up to position `shared`, different at each one after."""
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randint(N_VOCAB, (n, n_pos), generator=generator)
    step = torch.randint(1, N_VOCAB, (n, n_pos), generator=generator)
    step[:, :shared] = 0
    return clean, (clean + step) % N_VOCAB


def padded_pair(lengths, side="left"):
    """(clean, corrupted, mask) of prompts of these lengths."""
    rows = prompts(len(lengths), max(lengths))
    clean, corrupted = (
        padded([row[:length].tolist() for row, length in zip(each, lengths, strict=True)], 0, side)
        for each in rows
    )
    return clean[0], corrupted[0], clean[1]


def with_hooks(bridge, tokens, hooks, **kwargs):
    """Logits with {name: function of the activation}, through transformer_lens alone."""
    attached = [(name, lambda x, hook, function=function: function(x)) for name, function in hooks.items()]
    with torch.no_grad():
        return bridge.run_with_hooks(tokens, fwd_hooks=attached, **kwargs)


def head_outputs(bridge, tokens, **kwargs):
    """z of every layer."""
    kept = {}

    def keep(name):
        return lambda x: kept.setdefault(name, x)

    names = [f"blocks.{layer}.attn.hook_z" for layer in range(N_LAYERS)]
    with_hooks(bridge, tokens, {name: keep(name) for name in names}, **kwargs)
    return [kept[name] for name in names]


def putting(z, heads):
    """Hooks that put z [layer] of some heads in."""

    def put(layer):
        chosen = torch.tensor([(layer, head) in heads for head in range(N_HEADS)])
        return lambda x: torch.where(chosen[:, None], z[layer], x)

    return {f"blocks.{layer}.attn.hook_z": put(layer) for layer in {layer for layer, _ in heads}}
