"""Energies of a token as functions of the residual x at its position, each with its gradient, without autograd.

A lens reads x as if it were the last residual: logits(x) = norm(x) W_U + b_U, p = softmax(logits). Its energies
are *same-position*: E(x) knows nothing of the layers and positions that x still goes through, so a gradient here
is not the downstream gradient of the network's loss (it is, at the last layer). Units: nats, the attention
energy apart. Logits are defined up to a constant per token, and so no lens energy depends on it.

Shapes: leading axes (documents, positions) are free. float32 or float64, x and lens alike. Memory: at no time
is more made than one [tokens_at_once d_vocab] (drawing targets: and one in float64) and a few [.. d_model].
Errors: InputError for other dtypes or shapes, NaN or infinity in x or the lens, and target tokens outside the
vocabulary.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor
from torch.nn import functional

from energylens.errors import InputError
from energylens.metrics.lens import Lens, as_rows, as_tokens, check, in_parts

TOKENS_AT_ONCE = 256
"""At 2048 tokens a chunk's logits take 2 MB (float32), at GPT-2's 50257 they take 51 MB."""

Keys = Literal["all", "others", "causal"]
"""The keys a query sees: every position; every other one; its own and earlier ones."""


def energy_and_gradient(
    lens: Lens,
    x: Float[Tensor, "*batch d_model"],
    targets: Int[Tensor, "*batch"],
    tokens_at_once: int = TOKENS_AT_ONCE,
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch d_model"]]:
    """Gold lens energy E = -log p(y | x) in nats, y the observed next token, and its gradient in x.

    dE/dlogits = p - onehot(y), so sum_y p(y | x) dE/dx = 0: for y redrawn from the lens itself the gradient is
    0 in expectation, at every x. Without a norm E is convex in x; with one, and no translator, <dE/dx, x -
    mean x> is 0 up to eps (`LayerNorm.pull_back`). One pass gives both.
    """
    return _over_vocabulary(lens, x, _cross_entropy, tokens_at_once, as_tokens("targets", targets, lens, x))


def argmax_energy(
    lens: Lens, x: Float[Tensor, "*batch d_model"], tokens_at_once: int = TOKENS_AT_ONCE
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch d_model"]]:
    """E = -log max_y p(y | x) in nats and its gradient; the lens's own top token is a constant to it."""
    return _over_vocabulary(lens, x, lambda logits: _cross_entropy(logits, logits.argmax(-1)), tokens_at_once)


def free_energy(
    lens: Lens, x: Float[Tensor, "*batch d_model"], tokens_at_once: int = TOKENS_AT_ONCE
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch d_model"]]:
    """F = -logsumexp(logits - mean_y logits) in nats and its gradient: W_U and b_U centred over the vocabulary.

    Centred, because W_U -> W_U + u 1^T leaves every p alone and would shift -logsumexp by -<u, norm(x)>: an
    arbitrary gradient. F = mean_y log p(y | x) <= -ln d_vocab, with equality where p is uniform; dF/dlogits =
    1 / d_vocab - p. Without a norm F is concave in x.
    """
    return _over_vocabulary(lens, x, _free, tokens_at_once)


@torch.no_grad()
def contrast_energy(
    lens: Lens,
    x: Float[Tensor, "*batch d_model"],
    targets: Int[Tensor, "*batch"],
    rivals: Int[Tensor, "*batch"],
    tokens_at_once: int = TOKENS_AT_ONCE,
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch d_model"]]:
    """E = -(logit[y] - logit[y']) in nats and its gradient; linear in norm(x), no pass over the vocabulary."""
    rows = as_rows(lens, x)
    gradient = torch.empty_like(rows)
    y, y_rival = as_tokens("targets", targets, lens, x), as_tokens("rivals", rivals, lens, x)
    energy = lens.b_U[y_rival] - lens.b_U[y]
    for part in in_parts(len(rows), tokens_at_once):
        towards_rival = lens.W_U.mT[y_rival[part]] - lens.W_U.mT[y[part]]
        energy[part] += (lens._normed(rows[part]) * towards_rival).sum(-1)
        gradient[part] = lens.pull_back(rows[part], towards_rival)
    return energy.reshape(targets.shape), gradient.reshape(x.shape)


@torch.no_grad()
def attention_energy(
    q: Float[Tensor, "*batch pos d_head"],
    k: Float[Tensor, "*batch pos d_head"],
    beta: float,
    keys: Keys,
    tokens_at_once: int = TOKENS_AT_ONCE,
) -> tuple[
    Float[Tensor, "*batch pos"], Float[Tensor, "*batch pos d_head"], Float[Tensor, "*batch pos d_head"]
]:
    """Energy Transformer's attention energy by query, -(1/beta) log sum_k exp(beta <k, q>), and its gradients.

    The paper's energy (arXiv:2302.07253) is the sum over queries and heads, with `keys="others"`: no token
    sees itself. The gradients are those of the sum over queries, in q and in k: -sum_k p_qk k, what the head
    would write with its keys as values, and -sum_q p_qk q, which ordinary attention lacks. beta is 1 /
    sqrt(d_head) in a transformer. Unit: that of <k, q>; beta E is in nats. For the gradient in x multiply by
    W_Q^T and W_K^T (after undoing rotary positions), add, and pull back through the layer's own norm. At most
    max(tokens_at_once, pos) x pos scores are made at once. Errors: InputError if a query sees no key.
    """
    hidden = _hidden_keys(keys, q.shape[-2])
    check("q", q, k.shape, k.dtype)
    check("k", k, q.shape, q.dtype)
    if not 0 < beta < math.inf:
        raise InputError(f"beta must be positive and finite, received {beta!r}")
    rows_q, rows_k = (side.reshape(-1, *side.shape[-2:]) for side in (q, k))
    energy, by_q, by_k = (
        rows_q.new_empty(rows_q.shape[:2]),
        torch.empty_like(rows_q),
        torch.empty_like(rows_k),
    )
    for part in in_parts(len(rows_q), max(1, tokens_at_once // q.shape[-2])):
        scores = torch.einsum("bqd,bkd->bqk", rows_q[part] * beta, rows_k[part])
        scores.masked_fill_(hidden.to(q.device), -torch.inf)
        top = _shift(scores)
        energy[part] = -(top + _softmax(scores)) / beta
        by_q[part] = -torch.einsum("bqk,bkd->bqd", scores, rows_k[part])
        by_k[part] = -torch.einsum("bqk,bqd->bkd", scores, rows_q[part])
    return energy.reshape(q.shape[:-1]), by_q.reshape(q.shape), by_k.reshape(k.shape)


@torch.no_grad()
def redrawn_targets(
    lens: Lens,
    x: Float[Tensor, "*batch d_model"],
    generator: Generator,
    tokens_at_once: int = TOKENS_AT_ONCE,
) -> Int[Tensor, "*batch"]:
    """y ~ p(. | x), independent by token: the exact null of every statistic of the gold energy's gradient.

    By inversion in float64, from one uniform number per token, so that `tokens_at_once` changes no draw.
    """
    rows = as_rows(lens, x)
    uniform = torch.rand(len(rows), dtype=torch.float64, generator=generator, device=generator.device)
    drawn = torch.empty(len(rows), dtype=torch.int64, device=x.device)
    for part in in_parts(len(rows), tokens_at_once):
        logits = lens.logits(rows[part])
        _shift(logits)
        upto = logits.exp_().cumsum(-1, dtype=torch.float64)
        place = uniform[part, None].to(x.device) * upto[:, -1:]
        drawn[part] = torch.searchsorted(upto, place, right=True).squeeze(-1).clamp_(max=len(lens.b_U) - 1)
    return drawn.reshape(x.shape[:-1])


@dataclass(frozen=True, eq=False)
class EnergyInputs:
    """What energies are computed from; give what those in use need. `lens` translates nothing, `tuned_lens` does.

    So that no number of a tuned lens stands under a logit lens's name. Errors: InputError if they are swapped.
    """

    x: Float[Tensor, "*tokens d_model"] | None = None
    lens: Lens | None = None
    tuned_lens: Lens | None = None
    targets: Int[Tensor, "*tokens"] | None = None
    rivals: Int[Tensor, "*tokens"] | None = None
    q: Float[Tensor, "*heads pos d_head"] | None = None
    k: Float[Tensor, "*heads pos d_head"] | None = None
    beta: float | None = None
    keys: Keys | None = None

    def __post_init__(self) -> None:
        for name, translates in {"lens": False, "tuned_lens": True}.items():
            given = getattr(self, name)
            if given is not None and (given.translator is not None) != translates:
                raise InputError(
                    f"{name} must have {'a' if translates else 'no'} translator, received the other"
                )


@dataclass(frozen=True)
class Energy:
    """One energy: `formula` takes the inputs that `needs` names; gives E, and its gradients by `wrt`, in order."""

    name: str
    says: str
    needs: tuple[str, ...]
    formula: Callable[..., tuple[Tensor, ...]]
    wrt: tuple[str, ...] = ("x",)

    def compute(self, inputs: EnergyInputs, tokens_at_once: int = TOKENS_AT_ONCE) -> tuple[Tensor, ...]:
        """(E, gradient, ...). Errors: InputError naming the inputs that are missing."""
        missing = [name for name in self.needs if getattr(inputs, name) is None]
        if missing:
            raise InputError(f"energy {self.name!r} needs {', '.join(missing)}, which EnergyInputs lacks")
        given = (getattr(inputs, name) for name in self.needs)
        return self.formula(*given, tokens_at_once=tokens_at_once)


def energy_table(energies: Iterable[Energy]) -> Mapping[str, Energy]:
    """By name, in this order. Errors: InputError for a name given twice, or an input EnergyInputs does not know."""
    table: dict[str, Energy] = {}
    for energy in energies:
        unknown = sorted({*energy.needs, *energy.wrt} - set(EnergyInputs.__dataclass_fields__))
        if energy.name in table or unknown:
            raise InputError(f"energy {energy.name!r} is defined twice, or needs unknown inputs {unknown}")
        table[energy.name] = energy
    return MappingProxyType(table)


ENERGIES = energy_table(
    [
        Energy("gold", "-log p of the observed token", ("lens", "x", "targets"), energy_and_gradient),
        Energy("argmax", "-log p of the lens's own top token", ("lens", "x"), argmax_energy),
        Energy(
            "contrast",
            "logit of a rival minus the target's",
            ("lens", "x", "targets", "rivals"),
            contrast_energy,
        ),
        Energy("free", "-logsumexp of the centred logits", ("lens", "x"), free_energy),
        Energy("tuned-gold", "gold under a tuned lens", ("tuned_lens", "x", "targets"), energy_and_gradient),
        Energy("tuned-free", "free under a tuned lens", ("tuned_lens", "x"), free_energy),
        Energy(
            "attention",
            "-logsumexp of a head's scaled scores over beta, by query",
            ("q", "k", "beta", "keys"),
            attention_energy,
            wrt=("q", "k"),
        ),
    ]
)
"""Every energy that claims compare."""


def _over_vocabulary(
    lens: Lens, x: Tensor, slope: Callable[..., Tensor], tokens_at_once: int, *per_token: Tensor
) -> tuple[Tensor, Tensor]:
    """E and dE/dx; `slope(logits, *per_token)` gives E and overwrites logits, shifted to maximum 0, by dE/dlogits."""
    with torch.no_grad():
        rows = as_rows(lens, x)
        energy, gradient = rows.new_empty(len(rows)), torch.empty_like(rows)
        for part in in_parts(len(rows), tokens_at_once):
            logits = lens.logits(rows[part])
            _shift(logits)
            energy[part] = slope(logits, *(values[part] for values in per_token))
            gradient[part] = lens.pull_back(rows[part], functional.linear(logits, lens.W_U))
    return energy.reshape(x.shape[:-1]), gradient.reshape(x.shape)


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    at_target = logits.gather(1, targets[:, None])
    log_z = _softmax(logits)
    logits.scatter_add_(1, targets[:, None], torch.full_like(at_target, -1))
    return log_z - at_target.squeeze(1)


def _free(logits: Tensor) -> Tensor:
    mean = logits.mean(1)
    log_z = _softmax(logits)
    logits.neg_().add_(1 / logits.shape[1])
    return mean - log_z


def _shift(logits: Tensor) -> Tensor:
    """Subtract, in place, the maximum over the last axis; gives it."""
    top = logits.amax(-1, keepdim=True)
    logits.sub_(top)
    return top.squeeze(-1)


def _softmax(shifted: Tensor) -> Tensor:
    """Logits with maximum 0 become probabilities, in place; gives their logsumexp."""
    total = shifted.exp_().sum(-1, keepdim=True)
    shifted.div_(total)
    return total.log_().squeeze(-1)


def _hidden_keys(keys: str, n_pos: int) -> Bool[Tensor, "query key"]:
    """True where a query does not see a key."""
    if keys not in get_args(Keys):
        raise InputError(f"keys must be one of {', '.join(get_args(Keys))}, received {keys!r}")
    if keys == "others" and n_pos == 1:
        raise InputError("one position alone sees no other: keys='others' needs two positions or more")
    everything = torch.ones(n_pos, n_pos, dtype=torch.bool)
    return {"all": ~everything, "others": torch.eye(n_pos) > 0, "causal": everything.triu(1)}[keys]
