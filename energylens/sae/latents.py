"""Latent activations of the two families of sparse autoencoder: ReLU, and ReLU followed by TopK."""

from jaxtyping import Float
from torch import Tensor, arange, zeros_like

from energylens.errors import InputError

_GROUP = 4


def top_k(values: Float[Tensor, "*rows n"], k: int) -> tuple[Float[Tensor, "*rows k"], Tensor]:
    """The k largest of each row and their indices, unordered; ties are broken arbitrarily but reproducibly.

    Exact in two smaller selections where k is small: the k groups (of four) with the largest maxima hold k
    largest values, because every other value is at most its own group's maximum, and k maxima are at least as
    large. On CPU this halves the time of `torch.topk`, which is otherwise longer than all five matrix
    products of a step.
    """
    n = values.shape[-1]
    check_k(k, n)
    if n % _GROUP or 8 * k > n:
        top = values.topk(k, dim=-1, sorted=False)
        return top.values, top.indices
    n_groups = n // _GROUP
    maxima = values.unflatten(-1, (_GROUP, n_groups)).amax(-2)
    groups = maxima.topk(k, dim=-1, sorted=False).indices
    offsets = arange(0, n, n_groups, device=values.device).unsqueeze(-1)
    candidates = (groups.unsqueeze(-2) + offsets).flatten(-2)
    top = values.gather(-1, candidates).topk(k, dim=-1, sorted=False)
    return top.values, candidates.gather(-1, top.indices)


def check_k(k: int, n: int) -> None:
    """Raise InputError unless k of n latents can fire."""
    if not 1 <= k <= n:
        raise InputError(f"k must lie in 1..{n} (the number of latents), received {k}")


def latent_acts(pre_acts: Float[Tensor, "*rows d_sae"], k: int | None) -> Float[Tensor, "*rows d_sae"]:
    """relu(pre_acts), of which only the k largest per row are kept where `k` is given (Gao et al. 2024).

    L0 is exactly k in every row with at least k positive pre-activations, and smaller in the others.
    """
    acts = pre_acts.relu()
    if k is None:
        return acts
    values, indices = top_k(acts, k)
    return zeros_like(acts).scatter_(-1, indices, values)
