"""Spectral gaps of attention heads, and other descriptions of heads.

A gap compares the two largest singular values, 1 - s2/s1 or 1 - s2^2/s1^2: 0 if two directions are equally
strong, 1 if there is one. Everything is float64, by singular values, never through a Gram matrix.

Shapes: leading axes (layers, heads, prompts) are free. `mask` [... pos] is True at the positions that count;
it broadcasts against the leading axes, and is how padding and BOS are left out. Values at other positions are
never read, so they may be NaN. A gap is NaN where fewer than two positions count and where the largest
singular value is no more than rounding; NaN or infinity at a counted position is an InputError.

Rotary positions turn q and k by position before they meet. Then q and k are taken *before* the rotation and
W_Q W_K^T without one: every gap here speaks of position offset 0, and only maps that commute with the rotation
(`energylens.models.gauge`) are gauges of the network.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from energylens.errors import InputError


def key_singular_values(
    K: Float[Tensor, "*batch pos d_head"], mask: Bool[Tensor, "*#batch pos"], centred: bool
) -> Float[Tensor, "*batch 2"]:
    """The two largest singular values of the counted keys, minus their mean if `centred`; the rest is 0."""
    return _top_two(_counted(K, mask, centred))


def key_gap(
    K: Float[Tensor, "*batch pos d_head"], mask: Bool[Tensor, "*#batch pos"], centred: bool
) -> Float[Tensor, "*batch"]:
    """1 - s2^2 / s1^2 of the keys (definition a): the eigenvalue gap of K K^T, raw or centred over positions.

    Not a property of the network: K -> K M, Q -> Q M^-T computes the same and changes it. Two centred
    positions always give 1. `energylens.families.spectral.as_published.key_gap` adds the published regulariser.
    """
    values = key_singular_values(K, mask, centred)
    return _gap(values, _size(_counted(K, mask, centred=False)), K.dtype, mask, power=2)


def score_gap(
    Q: Float[Tensor, "*batch pos d_head"],
    K: Float[Tensor, "*batch pos d_head"],
    mask: Bool[Tensor, "*#batch pos"],
) -> Float[Tensor, "*batch"]:
    """1 - s2/s1 of Q K_c^T / sqrt(d_head), K_c the centred keys (definition a', before the softmax).

    Q = O_q R_q and K_c = O_k R_k with orthonormal columns O, so the singular values are those of the core
    R_q R_k^T, at most [d_head d_head]; the scale drops out. All pairs of counted positions enter, without the
    causal mask. Invariant to every gauge K -> K M, Q -> Q M^-T and to shifts of the keys (the softmax is, too).
    """
    rows, keys = _counted(Q, mask, centred=False), _counted(K, mask, centred=True)
    size = _size(rows) * _size(_counted(K, mask, centred=False))
    return _gap(_top_two(_core(rows, keys)), size, K.dtype, mask)


def pattern_gap(
    pattern: Float[Tensor, "*batch pos pos"], mask: Bool[Tensor, "*#batch pos"]
) -> Float[Tensor, "*batch"]:
    """1 - s2/s1 of the attention matrix [query key] among counted positions (definition b, after the softmax).

    Rows are not renormalised: attention to positions that do not count is left out. Singular values, because
    the eigenvalues of a causal matrix are its diagonal.
    """
    counts = mask[..., :, None] & mask[..., None, :]
    kept = _finite(torch.where(counts, pattern.double(), 0.0))
    return _gap(_top_two(kept), _size(kept), pattern.dtype, mask)


def core_gap(
    W_Q: Float[Tensor, "*batch d_model d_head"], W_K: Float[Tensor, "*batch d_model d_head"]
) -> Float[Tensor, "*batch"]:
    """1 - s2/s1 of W_Q W_K^T (definition c), by QR of both and the core R_q R_k^T. Knows no input, no bias.

    Fold the gain of a LayerNorm before the attention into both first, to speak of the residual stream.
    """
    size = _size(_finite(W_Q)) * _size(_finite(W_K))
    return _gap(_top_two(_core(W_Q.double(), W_K.double())), size, W_K.dtype)


def ov_copying(
    W_V: Float[Tensor, "*batch d_model d_head"],
    W_O: Float[Tensor, "*batch d_head d_model"],
    W_E: Float[Tensor, "d_vocab d_model"],
    W_U: Float[Tensor, "d_model d_vocab"],
) -> Float[Tensor, "*batch"]:
    """Sum of the eigenvalues over the sum of their moduli of W_E W_V W_O W_U (d): a copying score, not a gap.

    In [-1, 1]; 1 if every eigenvalue is positive: seeing a token raises its own logit (Elhage et al. 2021, "A
    Mathematical Framework for Transformer Circuits"). The non-zero eigenvalues of the [d_vocab d_vocab]
    circuit are those of W_O W_U W_E W_V [d_head d_head]. NaN if they are all 0.
    """
    W_V, W_O, W_E, W_U = (_finite(W).double() for W in (W_V, W_O, W_E, W_U))
    within = torch.einsum("mv,vn->mn", W_U, W_E)
    eigenvalues = torch.linalg.eigvals(torch.einsum("...hm,mn,...ng->...hg", W_O, within, W_V))
    return eigenvalues.real.sum(-1) / eigenvalues.abs().sum(-1)


def pooled(
    activations: Float[Tensor, "prompt *batch pos d"], mask: Bool[Tensor, "prompt pos"]
) -> tuple[Float[Tensor, "*batch tokens d"], Bool[Tensor, " tokens"]]:
    """The positions of all prompts as one long prompt, with its mask."""
    return activations.movedim(0, -3).flatten(-3, -2), mask.flatten()


@dataclass(frozen=True)
class HeadInputs:
    """What the gaps of one layer's heads are computed from; give what the definitions in use need.

    q, k before the rotation of rotary positions, biases included; with fewer key than query heads, k is
    repeated for each query head. W_U: gain of the final norm folded in.
    """

    q: Float[Tensor, "prompt head pos d_head"] | None = None
    k: Float[Tensor, "prompt head pos d_head"] | None = None
    pattern: Float[Tensor, "prompt head pos pos"] | None = None
    mask: Bool[Tensor, "prompt pos"] | None = None
    W_Q: Float[Tensor, "head d_model d_head"] | None = None
    W_K: Float[Tensor, "head d_model d_head"] | None = None
    W_V: Float[Tensor, "head d_model d_head"] | None = None
    W_O: Float[Tensor, "head d_head d_model"] | None = None
    W_E: Float[Tensor, "d_vocab d_model"] | None = None
    W_U: Float[Tensor, "d_model d_vocab"] | None = None


@dataclass(frozen=True)
class Gap:
    """One definition: `formula` takes the fields of HeadInputs that `needs` names, and gives one number a head."""

    name: str
    says: str
    needs: tuple[str, ...]
    formula: Callable[..., Tensor]

    def compute(self, inputs: HeadInputs) -> Float[Tensor, " head"]:
        """The number of every head, float64. Errors: InputError naming the inputs that are missing."""
        missing = [name for name in self.needs if getattr(inputs, name) is None]
        if missing:
            raise InputError(f"definition {self.name!r} needs {', '.join(missing)}, which HeadInputs lacks")
        return self.formula(*(getattr(inputs, name) for name in self.needs))


def gap_table(gaps: Iterable[Gap]) -> Mapping[str, Gap]:
    """By name, in this order. Errors: InputError for a name given twice, or a need HeadInputs does not know."""
    table: dict[str, Gap] = {}
    for gap in gaps:
        unknown = sorted(set(gap.needs) - set(HeadInputs.__dataclass_fields__))
        if gap.name in table or unknown:
            raise InputError(f"gap {gap.name!r} is defined twice, or needs unknown inputs {unknown}")
        table[gap.name] = gap
    return MappingProxyType(table)


GAPS = gap_table(
    [
        Gap(
            "a-raw",
            "eigenvalue gap of the keys, prompts pooled",
            ("k", "mask"),
            lambda k, mask: key_gap(*pooled(k, mask), centred=False),
        ),
        Gap(
            "a",
            "eigenvalue gap of the centred keys, prompts pooled (as published, without its regulariser)",
            ("k", "mask"),
            lambda k, mask: key_gap(*pooled(k, mask), centred=True),
        ),
        Gap(
            "a-prime",
            "singular gap of the scores before the softmax, keys centred; mean over prompts",
            ("q", "k", "mask"),
            lambda q, k, mask: score_gap(q, k, mask[:, None]).nanmean(0),
        ),
        Gap(
            "b",
            "singular gap of the attention matrix after the softmax; mean over prompts",
            ("pattern", "mask"),
            lambda pattern, mask: pattern_gap(pattern, mask[:, None]).nanmean(0),
        ),
        Gap("c", "singular gap of W_Q W_K^T", ("W_Q", "W_K"), core_gap),
        Gap("d", "OV copying score (a rival, not a gap)", ("W_V", "W_O", "W_E", "W_U"), ov_copying),
    ]
)
"""Every definition that claims compare; only "a" is what the published threshold of .77 speaks of."""


def attention_entropy(
    pattern: Float[Tensor, "prompt head pos pos"], mask: Bool[Tensor, "prompt pos"]
) -> Float[Tensor, " head"]:
    """Mean over the counted queries of all prompts of -sum_k p log p, in nats; 0 log 0 = 0, NaN without any.

    A query's whole row enters, keys that do not count (BOS) included: only then is it a distribution.
    """
    kept = _finite(torch.where(mask[:, None, :, None], pattern.double(), 0.0))
    return torch.special.entr(kept).sum((0, 2, 3)) / mask.sum()


def ov_output_norm(
    z: Float[Tensor, "prompt head pos d_head"],
    W_O: Float[Tensor, "head d_head d_model"],
    mask: Bool[Tensor, "prompt pos"],
) -> Float[Tensor, " head"]:
    """Mean over the counted positions of all prompts of |z W_O|, what a head writes; NaN without any.

    Through the triangle R of W_O^T = O R, |z W_O| = |R z|: nothing of size d_model is made per position.
    """
    triangle = torch.linalg.qr(_finite(W_O).double().mT, mode="r").R
    written = torch.einsum("hij,phqj->phqi", triangle, _counted(z, mask[:, None], centred=False))
    return torch.linalg.vector_norm(written, dim=-1).sum((0, 2)) / mask.sum()


def induction_score(
    pattern: Float[Tensor, "prompt head pos pos"], period: Int[Tensor, " prompt"]
) -> Float[Tensor, " head"]:
    """Mean attention from the second occurrence of a repeated segment to the token after the first.

    Prompts start with the segment, of `period` tokens, twice: query q = period .. 2 period - 1, key q - period +
    1, all such queries of all prompts alike. Later repeats are left out: counted, they halve the score. Source:
    Olsson et al. 2022 (arXiv:2209.11895).
    """
    n_ctx = pattern.shape[-1]
    if period.numel() == 0 or not ((period >= 2) & (2 * period <= n_ctx)).all():
        raise InputError(f"periods must lie in 2 .. {n_ctx // 2}, half the context, got {period.tolist()}")
    query, key, period = torch.arange(n_ctx)[:, None], torch.arange(n_ctx), period[:, None, None]
    asked = (period <= query) & (query < 2 * period) & (key == query - period + 1)
    return torch.where(asked[:, None], pattern.double(), 0.0).sum((0, 2, 3)) / asked.sum()


def _finite(values: Tensor) -> Tensor:
    if not torch.isfinite(values).all():
        raise InputError(f"values of shape {tuple(values.shape)} have NaN or infinity where they count")
    return values


def _counted(rows: Tensor, mask: Tensor, centred: bool) -> Tensor:
    """float64 rows, about their mean if `centred`; rows that do not count are 0."""
    counts = mask[..., None]
    kept = _finite(torch.where(counts, rows.double(), 0.0))
    if not centred:
        return kept
    return torch.where(counts, kept - kept.sum(-2, keepdim=True) / counts.sum(-2, keepdim=True), 0.0)


def _core(left: Tensor, right: Tensor) -> Tensor:
    """A small matrix with the singular values of left right^T."""
    r_left, r_right = (torch.linalg.qr(factor, mode="r").R for factor in (left, right))
    return torch.einsum("...ih,...jh->...ij", r_left, r_right)


def _size(matrix: Tensor) -> Tensor:
    return torch.linalg.matrix_norm(matrix.double())


def _top_two(matrix: Tensor) -> Tensor:
    """The two largest singular values; the second of a matrix with one row or column is 0."""
    values = torch.linalg.svdvals(matrix)[..., :2]
    return torch.nn.functional.pad(values, (0, 2 - values.shape[-1]))


def _gap(
    values: Tensor, size: Tensor, dtype: torch.dtype, mask: Tensor | None = None, power: int = 1
) -> Tensor:
    """1 - (s2 / s1)^power; NaN if s1 is rounding in `dtype` of numbers of this size, or < 2 positions count."""
    first, second = values.unbind(-1)
    undefined = first <= 8 * torch.finfo(dtype).eps * size
    if mask is not None:
        undefined = undefined | (mask.sum(-1) < 2)
    return (1 - (second / first) ** power).masked_fill(undefined, math.nan)
