"""A lens: the network's unembedding (and a translator before it), read as a function of any residual.

logits(x) = norm(x) W_U + b_U. Shapes: leading axes are free; float32 or float64, x and lens alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from energylens.errors import InputError


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """norm(x) = gain x_hat + bias with x_hat = (x - mean x) / sqrt(var x + eps); mean, var over d_model."""

    gain: Float[Tensor, " d_model"]
    bias: Float[Tensor, " d_model"]
    eps: float

    def __call__(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """The normed residual."""
        return functional.layer_norm(x, self.gain.shape, self.gain, self.bias, self.eps)

    def pull_back(
        self, x: Float[Tensor, "*batch d_model"], gradient: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        """dE/dx from `gradient` = dE/dnorm(x), at x.

        With h = gain dE/dnorm(x): dE/dx = (h - mean h - x_hat mean(h x_hat)) / sqrt(var x + eps). Its mean is
        0 (norm ignores shifts) and <dE/dx, x - mean x> = <h, x_hat> eps / (var x + eps), which is 0 up to eps
        (norm ignores scale, up to eps).
        """
        scale = (x.var(-1, correction=0, keepdim=True) + self.eps).rsqrt()
        x_hat = (x - x.mean(-1, keepdim=True)) * scale
        h = gradient * self.gain
        return (h - h.mean(-1, keepdim=True) - x_hat * (h * x_hat).mean(-1, keepdim=True)) * scale


@dataclass(frozen=True, eq=False)
class Translator:
    """The tuned lens's affine map x -> x + A x + b, (A x)_i = sum_j A_ij x_j (arXiv:2303.08112); 0 is none."""

    A: Float[Tensor, "d_model d_model"]
    b: Float[Tensor, " d_model"]

    def __call__(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """The translated residual."""
        return x + torch.einsum("ij,...j->...i", self.A, x) + self.b

    def pull_back(self, gradient: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """dE/dx = g + A^T g from g, the gradient on the translated residual."""
        return gradient + torch.einsum("ij,...i->...j", self.A, gradient)


@dataclass(frozen=True, eq=False)
class Lens:
    """How a residual is read: logits(x) = norm(translator(x)) W_U + b_U. A logit lens, tuned if it translates.

    norm: the network's final norm, None for a network without (LayerNorm without gain: ones and zeros).
    """

    norm: LayerNorm | None
    W_U: Float[Tensor, "d_model d_vocab"]
    b_U: Float[Tensor, " d_vocab"]  # noqa: N815
    translator: Translator | None = None

    def __post_init__(self) -> None:
        d_model, d_vocab = self.W_U.shape[0], self.W_U.shape[-1]
        parts = {"W_U": (self.W_U, (d_model, d_vocab)), "b_U": (self.b_U, (d_vocab,))}
        if self.norm is not None:
            parts |= {"gain": (self.norm.gain, (d_model,)), "bias": (self.norm.bias, (d_model,))}
            if not self.norm.eps > 0:
                raise InputError(f"a norm's eps must be positive, received {self.norm.eps!r}")
        if self.translator is not None:
            parts |= {"A": (self.translator.A, (d_model, d_model)), "b": (self.translator.b, (d_model,))}
        for name, (tensor, shape) in parts.items():
            check(name, tensor, shape, self.W_U.dtype)

    def logits(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_vocab"]:
        """norm(translator(x)) W_U + b_U; autograd goes through it."""
        return functional.linear(self._normed(x), self.W_U.mT, self.b_U)

    def pull_back(
        self, x: Float[Tensor, "*batch d_model"], gradient: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        """dE/dx from `gradient`, dE by what W_U reads, at x."""
        if self.norm is not None:
            gradient = self.norm.pull_back(self.translated(x), gradient)
        return gradient if self.translator is None else self.translator.pull_back(gradient)

    def translated(self, x: Tensor) -> Tensor:
        """x after the translator, if there is one."""
        return x if self.translator is None else self.translator(x)

    def _normed(self, x: Tensor) -> Tensor:
        return self.translated(x) if self.norm is None else self.norm(self.translated(x))


def as_rows(lens: Lens, x: Tensor) -> Float[Tensor, "tokens d_model"]:
    """x [.., d_model] as rows, checked against the lens."""
    check("x", x, (*x.shape[:-1], lens.W_U.shape[0]), lens.W_U.dtype)
    return x.reshape(-1, x.shape[-1])


def as_tokens(name: str, tokens: Tensor, lens: Lens, x: Tensor) -> Int[Tensor, " tokens"]:
    """One token of the vocabulary for every row of x."""
    if tokens.shape != x.shape[:-1]:
        raise InputError(f"{name} have shape {tuple(tokens.shape)}, the tokens in x {tuple(x.shape[:-1])}")
    outside = (tokens < 0) | (tokens >= len(lens.b_U))
    if outside.any():
        raise InputError(f"{name} must be 0 .. {len(lens.b_U) - 1}, received {int(tokens[outside][0])}")
    return tokens.reshape(-1).long()


def in_parts(n: int, at_once: int) -> Iterator[slice]:
    """Slices of at most `at_once` tokens that cover n."""
    if at_once < 1:
        raise InputError(f"at least one token must be taken at once, received {at_once}")
    return (slice(start, start + at_once) for start in range(0, n, at_once))


def check(name: str, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Errors: InputError unless the tensor is finite, of this shape, and of this dtype (float32 or float64)."""
    if dtype not in (torch.float32, torch.float64):
        raise InputError(f"energies are computed in float32 or float64, {name} received {dtype}")
    if tuple(tensor.shape) != tuple(shape) or tensor.dtype != dtype:
        received = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
        raise InputError(f"{name} must be {dtype} of shape {tuple(shape)}, received {received}")
    if not torch.isfinite(tensor).all():
        raise InputError(f"{name} of shape {tuple(tensor.shape)} has NaN or infinity")
