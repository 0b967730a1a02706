"""Whether a network that adds modulo p computes with frequencies: measures of Nanda et al. 2023 (arXiv:2301.05217).

Conventions: p is odd, w_k = 2 pi k / p, frequencies k = 1 .. (p - 1) / 2, so k and p - k are one frequency. A
function on the grid of inputs has p * p rows in the order a * p + b. W_L [d_mlp p] maps neurons to logits.
Weights and small sums are computed in float64, grids of activations in the precision they come in.
"""

import math
from collections.abc import Collection, Sequence

import torch
from jaxtyping import Float, Int
from scipy.integrate import quad
from scipy.stats import binom, gamma
from torch import Generator, Tensor

from energylens.errors import InputError
from energylens.metrics.stability import max_abs_cosines, random_unit_rows, unit_rows


def fourier_basis(p: int) -> Float[Tensor, "p p"]:
    """Orthonormal rows: constant, cos_1, sin_1, ..., cos_(p-1)/2, sin_(p-1)/2 over x = 0 .. p - 1."""
    if p < 3 or p % 2 == 0:
        raise InputError(f"the Fourier basis is written for odd p >= 3, received {p}")
    x, k = torch.arange(p), torch.arange(1, (p + 1) // 2)
    # Reduced modulo p before multiplying: cos(2 pi k x / p) then has full precision for every k.
    angles = (torch.einsum("k,x->kx", k, x) % p).double() * (2 * math.pi / p)
    waves = torch.stack([angles.cos(), angles.sin()], dim=1).flatten(0, 1) * math.sqrt(2 / p)
    return torch.cat([torch.full((1, p), 1 / math.sqrt(p), dtype=torch.float64), waves])


def frequency_power(W: Float[Tensor, "rows columns"], dim: int) -> Float[Tensor, " n_frequencies"]:
    """Power (sum of squares) of W in each frequency along `dim`, entry k - 1 for frequency k; no constant.

    |cos_k W|^2 + |sin_k W|^2 = 2/p |rfft_k|^2 summed over the other dimension. The entries add up to the
    power of W centred along `dim` (Parseval).
    """
    p = W.shape[dim]
    power = torch.fft.rfft(W.double(), dim=dim).abs().square().sum(1 - dim % 2)[1:] * (2 / _odd(p))
    if not torch.isfinite(power).all():
        raise InputError(f"the weights of shape {tuple(W.shape)} have NaN or infinite values")
    return power


def embedding_r2(W_E: Float[Tensor, "p d_model"], top: int = 5) -> float:
    """Share of the centred W_E (rows = the p number tokens) in its `top` strongest distinct frequencies.

    Never below top / ((p - 1) / 2); `embedding_r2_chance` is the level of a Gaussian W_E.
    """
    power = frequency_power(W_E, dim=0)
    if _or_nan(power.sum(), W_E.square().sum(), W_E.dtype).isnan():
        raise InputError("W_E does not vary over tokens: its Fourier R^2 is undefined")
    return float(power.topk(_top(top, len(power))).values.sum() / power.sum())


def embedding_r2_chance(p: int, d_model: int, top: int = 5) -> float:
    """Expected `embedding_r2` of a W_E with iid Gaussian entries, same selection of the strongest; exact.

    The m = (p - 1) / 2 powers are iid Gamma(d_model), so shares are independent of their total and E share =
    sum_(j <= top) E X_(j) / (m d_model), E X_(j) = integral of P(Binomial(m, P(X > x)) >= j) dx for the j-th
    largest. At p = 113, d_model = 128, top = 5: .1037.
    """
    m = (_odd(p) - 1) // 2
    ranks = range(_top(top, m))

    def above(x: float) -> float:
        return float(binom.sf(list(ranks), m, gamma.sf(x, d_model)).sum())

    low, high = gamma.ppf([1e-12, 1 - 1e-12], d_model)
    return (low * top + quad(above, low, high, limit=200)[0]) / (m * d_model)


def key_frequencies(W_L: Float[Tensor, "d_mlp p"], share: float = 0.05) -> list[int]:
    """Frequencies with more than `share` of W_L's Fourier power over the logits, ascending; may be empty.

    The paper takes "nontrivial coefficients" of the DFT of W_L without a number. The constant is left out of
    the total: it moves all logits alike.
    """
    power = frequency_power(W_L, dim=1)
    return [int(k) + 1 for k in (power > share * power.sum()).nonzero().flatten()]


def strongest_frequencies(
    power: Float[Tensor, " n_frequencies"], size: int, exclude: Collection[int] = ()
) -> list[int]:
    """The `size` frequencies of largest power outside `exclude`, ascending.

    The null of a set that was selected by its power: selected alike, from all the frequencies that are left.
    """
    allowed = [k for k in range(1, len(power) + 1) if k not in exclude]
    _top(size, len(allowed))
    return sorted(sorted(allowed, key=lambda k: -float(power[k - 1]))[:size])


def random_frequency_sets(
    p: int, size: int, draws: int, exclude: Collection[int] = (), seed: int = 0
) -> list[list[int]]:
    """`draws` independent uniform sets of `size` distinct frequencies outside `exclude`, each ascending."""
    allowed = torch.tensor([k for k in range(1, (_odd(p) + 1) // 2) if k not in exclude])
    _top(size, len(allowed))
    generator = Generator().manual_seed(seed)
    orders = [torch.randperm(len(allowed), generator=generator) for _ in range(draws)]
    return [sorted(allowed[order[:size]].tolist()) for order in orders]


def w_l_residual(W_L: Float[Tensor, "d_mlp p"], frequencies: Sequence[int]) -> float:
    """|W_L - its part in the frequencies| / |W_L| (Frobenius, constant kept in both). Paper: below .0055."""
    W_L = W_L.double()
    waves = _waves(W_L.shape[1], frequencies)
    rest = W_L - torch.einsum("nx,kx,ky->ny", W_L, waves, waves)
    return float(rest.norm() / W_L.norm())


def mlp_fve(
    neurons: Float[Tensor, "grid d_mlp"], W_L: Float[Tensor, "d_mlp p"], frequencies: Sequence[int]
) -> Float[Tensor, "n_given 2"]:
    """Table 1 of the paper: variance of N u_k explained by cos w_k(a+b), and of N v_k by sin w_k(a+b).

    u_k = W_L cos_k and v_k = W_L sin_k are the neuron directions that W_L writes to frequency k. One
    regressor and an intercept, phase not fitted: the squared correlation. Paper: .932-.982. NaN where the
    readout is constant.
    """
    p = _side(neurons)
    waves = _waves(p, frequencies)
    readout = (neurons @ torch.einsum("nx,kx->nk", W_L.double(), waves).to(neurons)).double()
    centred = readout - readout.mean(0)
    # |wave(a + b)|^2 over the grid is p, because each sum a + b mod p occurs p times and waves have length 1.
    explained = torch.einsum("sk,ks->k", _sum_over_diagonals(centred, p), waves).square() / p
    total = _or_nan(centred.square().sum(0), readout.square().sum(0), neurons.dtype)
    return (explained / total).unflatten(0, (-1, 2))


def worst_mlp_fve(
    neurons: Float[Tensor, "grid d_mlp"], W_L: Float[Tensor, "d_mlp p"], frequencies: Sequence[int]
) -> float:
    """The smallest value of `mlp_fve`; NaN if no frequency is given (a network without key frequencies).

    Its null: the same with `strongest_frequencies(frequency_power(W_L, 1), len(frequencies),
    exclude=frequencies)`.
    """
    return float(mlp_fve(neurons, W_L, frequencies).min()) if frequencies else math.nan


def logit_shares(logits: Float[Tensor, "grid p"]) -> Float[Tensor, " n_frequencies"]:
    """Share of the doubly centred logits in alpha_k cos w_k(a+b-c), alpha_k by least squares, for every k.

    Doubly centred: minus the mean over c of each input (softmax ignores it) and the mean over inputs of each
    c. The regressors are orthogonal, so the share of a set is the sum of its shares. NaN for constant logits.
    """
    p = _side(logits)
    centred = logits.double() - logits.double().mean(1, keepdim=True)
    centred = centred - centred.mean(0)
    by_sum = _sum_over_diagonals(centred, p)
    difference = (torch.arange(p)[:, None] - torch.arange(p)) % p
    by_difference = by_sum.new_zeros(p).index_add_(0, difference.flatten(), by_sum.flatten())
    cosines = fourier_basis(p)[1::2]
    # |cos_k(a + b - c)|^2 over the p^3 entries is p^2, cos_k being of length 1 over p values.
    total = _or_nan(centred.square().sum(), logits.square().sum(), logits.dtype)
    return torch.einsum("kt,t->k", cosines, by_difference).square() / (p * p * total)


def logit_fve(logits: Float[Tensor, "grid p"], frequencies: Sequence[int]) -> float:
    """Share of the doubly centred logits in sum_k alpha_k cos w_k(a+b-c), paper .95; NaN if no k is given."""
    shares = logit_shares(logits)
    chosen = [k - 1 for k in _checked(shares.shape[0] * 2 + 1, frequencies)]
    return float(shares[chosen].sum()) if chosen else math.nan


def restricted_logits(logits: Float[Tensor, "grid p"], frequencies: Sequence[int]) -> Float[Tensor, "grid p"]:
    """Only the constant and the directions cos w_k(a+b), sin w_k(a+b) over the inputs, for the frequencies k.

    Section 5.1 of the paper counts "20 terms" for five frequencies, the four products of each; the released
    code and the paper's 5.54e-8 project on the two sum directions of each, as here. No cross-frequency term
    is kept.
    """
    return (_sum_component(logits, frequencies) + logits.double().mean(0)).to(logits)


def excluded_logits(logits: Float[Tensor, "grid p"], frequencies: Sequence[int]) -> Float[Tensor, "grid p"]:
    """Logits without the directions cos w_k(a+b), sin w_k(a+b) of all the frequencies k; all else is kept.

    The paper measures the loss of it on the training inputs, to tell memorising from computing: index the
    rows.
    """
    return (logits.double() - _sum_component(logits, frequencies)).to(logits)


def loss_nats(logits: Float[Tensor, "rows p"], labels: Int[Tensor, " rows"]) -> float:
    """Mean cross-entropy in nats, in float64: in float32 a loss below 1e-7 is rounding."""
    return torch.nn.functional.cross_entropy(logits.double(), labels.long()).item()


def one_frequency_fve(
    acts: Float[Tensor, "grid n"],
) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
    """Share of each column's variance in degree-2 polynomials of its best frequency, and that frequency.

    Polynomials of (cos w_k a, sin w_k a) times those of b, at most linear in each: the 3 x 3 products without
    the constant, as in the paper's code. The best of all (p - 1) / 2 frequencies; NaN for a constant column.
    """
    power = _one_frequency_coefficients(acts).square().sum(1).double()
    variance, mean = (moment.double() for moment in torch.var_mean(acts, 0, correction=0))
    return _best_share(power, _or_nan(variance, variance + mean.square(), acts.dtype) * len(acts))


def decoder_one_frequency(
    x: Float[Tensor, "grid d_in"], decoder: Float[Tensor, "n d_in"]
) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
    """`one_frequency_fve` of x @ direction for every row of `decoder`; x: activations of all p * p inputs.

    The transform is linear, so it is taken once per coordinate of x. Nulls: a rotated decoder
    (`stability.random_rotation`), `stability.principal_directions(x)`, the decoders of an untrained network.
    """
    x = x.double()
    centred, rows = x - x.mean(0), unit_rows(decoder).double()
    power = torch.einsum("kjd,nd->kjn", _one_frequency_coefficients(centred), rows).square().sum(1)
    covariance = torch.einsum("xd,xe->de", centred, centred)
    total = torch.einsum("nd,nd->n", rows @ covariance, rows)
    return _best_share(power, total.masked_fill(total <= 1e-12 * covariance.trace(), math.nan))


def one_frequency_share(fve: Float[Tensor, " n"], threshold: float = 0.85) -> float:
    """Share of all columns, constant (NaN) ones included, whose FVE exceeds the threshold. Paper: 433/512."""
    return (fve > threshold).double().mean().item()


def shuffled_grid(acts: Float[Tensor, "grid n"], generator: Generator) -> Float[Tensor, "grid n"]:
    """The same rows in a random order: every column keeps its values and loses its dependence on (a, b)."""
    return acts[torch.randperm(len(acts), generator=generator)]


def fourier_overlap(decoder: Float[Tensor, "n d_model"], W_E: Float[Tensor, "p d_model"]) -> float:
    """Mean over latents of the largest |cosine| to a Fourier direction of the residual stream.

    The directions are cos_k W_E and sin_k W_E in d_model dimensions, for all k; those a pure embedding does
    not use (shorter than 1e-6 of the longest) have no direction and are left out. The published estimator,
    which compares along the model's coordinates instead, is `energylens.families.fourier.as_published.fourier_overlap`.
    """
    return max_abs_cosines(decoder.double(), _embedded_directions(W_E))[0].mean().item()


def fourier_overlap_chance(W_E: Float[Tensor, "p d_model"], generator: Generator, draws: int = 4096) -> float:
    """Mean `fourier_overlap` of uniform random directions, same candidates (Monte Carlo, error < .001)."""
    return fourier_overlap(random_unit_rows(draws, W_E.shape[1], generator), W_E)


def _embedded_directions(W_E: Tensor) -> Tensor:
    directions = torch.einsum("kx,xd->kd", fourier_basis(W_E.shape[0])[1:], W_E.double())
    norms = directions.norm(dim=1)
    return directions[norms > 1e-6 * norms.max()]


def _one_frequency_coefficients(acts: Tensor) -> Tensor:
    """[K, 8, n]: per frequency const x {cos, sin}(b), then {cos, sin}(a) x {const, cos, sin}(b).

    Separable: a full transform over a, then over b only the three waves that share the frequency.
    """
    p = _side(acts)
    basis = fourier_basis(p).to(acts)
    by_a = torch.einsum("ka,abn->kbn", basis, acts.unflatten(0, (p, p)))
    waves = basis[1:].unflatten(0, (-1, 2))
    linear_b = torch.einsum("kjb,bn->kjn", waves, by_a[0])
    with_constant = torch.cat([basis[0].expand(len(waves), 1, p), waves], dim=1)
    # Broadcast matmul: an einsum would copy the whole transform to put the frequency axis first.
    products = with_constant[:, None] @ by_a[1:].unflatten(0, (-1, 2))
    return torch.cat([linear_b, products.flatten(1, 2)], dim=1)


def _best_share(power: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
    best, index = power.max(0)
    return best / total, index + 1


def _or_nan(variance: Tensor, squares: Tensor, dtype: torch.dtype) -> Tensor:
    """The variance, or NaN where it is no more than rounding of constant values with this sum of squares."""
    return variance.masked_fill(variance <= (8 * torch.finfo(dtype).eps) ** 2 * squares, math.nan)


def _sum_component(logits: Tensor, frequencies: Sequence[int]) -> Tensor:
    """Projection over the inputs on cos w_k(a+b), sin w_k(a+b), on the grid again."""
    p = _side(logits)
    waves = _waves(p, frequencies)
    by_sum = _sum_over_diagonals(logits.double(), p) / p
    return torch.einsum("ks,kt,tc->sc", waves, waves, by_sum)[_sums(p)]


def _sum_over_diagonals(values: Tensor, p: int) -> Tensor:
    """[p, n]: sum of the rows with the same a + b mod p."""
    return values.new_zeros(p, values.shape[1]).index_add_(0, _sums(p), values)


def _sums(p: int) -> Tensor:
    return ((torch.arange(p)[:, None] + torch.arange(p)) % p).flatten()


def _waves(p: int, frequencies: Sequence[int]) -> Tensor:
    """Rows cos_k, sin_k of the basis for each frequency in turn."""
    rows = [row for k in _checked(p, frequencies) for row in (2 * k - 1, 2 * k)]
    return fourier_basis(p)[rows]


def _checked(p: int, frequencies: Sequence[int]) -> list[int]:
    if len(set(frequencies)) < len(frequencies) or any(not 1 <= k <= (p - 1) // 2 for k in frequencies):
        raise InputError(f"frequencies must be distinct, in 1..{(p - 1) // 2}, received {list(frequencies)}")
    return list(frequencies)


def _side(grid: Tensor) -> int:
    p = math.isqrt(grid.shape[0])
    if p * p != grid.shape[0]:
        raise InputError(f"activations of all p * p inputs are needed, received {grid.shape[0]} rows")
    return _odd(p)


def _odd(p: int) -> int:
    if p < 3 or p % 2 == 0:
        raise InputError(f"frequencies are defined here for odd p >= 3, received {p}")
    return p


def _top(top: int, available: int) -> int:
    if not 1 <= top <= available:
        raise InputError(f"{top} frequencies asked for, but there are {available}")
    return top
