"""Association of a score of heads with their importance, beyond what layer and norm already tell.

Inputs are one number per head, tables flattened; results are plain floats in float64. NaN stands for
undefined: a constant input, an empty group, too few heads; and an input with NaN gives NaN, so heads without a
score are left out by the caller. Heads of one network are not independent: no p values here.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata
from torch import Generator, Tensor

from energylens.errors import InputError


def pearson(x: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> float:
    """Product-moment correlation; NaN if x or y is constant."""
    return float(correlations(x, y[None])[0])


def correlations(x: Float[Tensor, " n"], y: Float[Tensor, "draws n"]) -> Float[Tensor, " draws"]:
    """`pearson` of x with every row of y.

    A permutation null of the other two: rank, or take the group means away, first, and shuffle what is left.
    """
    x, y = (_deviations(values, values.double().mean(-1, keepdim=True)) for values in (x, y))
    return (torch.einsum("n,dn->d", x, y) / (x.norm() * y.norm(dim=-1))).clamp(-1, 1)


def spearman(x: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> float:
    """Pearson correlation of the ranks, ties at their mean rank; NaN if x or y is constant."""
    return pearson(ranks(x), ranks(y))


def ranks(values: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """1 for the smallest, ties at their mean rank; all NaN if any is."""
    return torch.from_numpy(rankdata(values.double().numpy(force=True)))


def within_group_correlation(
    x: Float[Tensor, " n"], y: Float[Tensor, " n"], groups: Int[Tensor, " n"]
) -> float:
    """Pearson correlation after each group's mean is taken from x and y: what is left once depth is out.

    NaN if x or y does not vary within any group. It has n - n_groups - 1 degrees of freedom, not n - 2.
    """
    return pearson(within_groups(x, groups), within_groups(y, groups))


def within_groups(values: Float[Tensor, " n"], groups: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Deviations from the mean of each one's group; all NaN if none varies within its group."""
    return _deviations(values, _group_means(values.double(), groups))


def permuted_within(groups: Int[Tensor, " n"], generator: Generator, n: int) -> Int[Tensor, "draws n"]:
    """`n` uniform permutations of the indices, each of which keeps every index in its group (layer)."""
    home = groups.argsort(stable=True)
    keys = torch.rand(n, len(groups), generator=generator, dtype=torch.float64)
    shuffled = keys.argsort(dim=1)
    shuffled = shuffled.gather(1, groups[shuffled].argsort(dim=1, stable=True))
    return torch.empty_like(shuffled).index_copy_(1, home, shuffled)


def youden_cut(scores: Float[Tensor, " n"], labels: Bool[Tensor, " n"]) -> float:
    """The cut that maximises sensitivity + specificity - 1 of the rule "true where score <= cut" (Youden 1950).

    Candidates are the midpoints between adjacent different scores; of equally good ones the lowest. NaN if one
    class is empty, or no cut beats calling all heads the same.
    """
    if not torch.isfinite(scores).all():
        return math.nan
    values, place = scores.double().unique(return_inverse=True)
    true, false = (torch.bincount(place[kind], minlength=len(values)).cumsum(0) for kind in (labels, ~labels))
    # Sensitivity + specificity - 1 times the sizes of both classes: whole numbers, so that ties are exact.
    index = (true * (~labels).sum() - false * labels.sum())[:-1]
    if not (index > 0).any():
        return math.nan
    best = int((index == index.max()).nonzero()[0])
    return float((values[best] + values[best + 1]) / 2)


def auroc(scores: Float[Tensor, " n"], labels: Bool[Tensor, " n"]) -> float:
    """Probability that a true head scores lower than a false one, ties half (Mann-Whitney U / (n_t n_f)).

    The orientation of `youden_cut`: above .5 where low scores go with true. NaN if one class is empty.
    """
    n_true, n_false = int(labels.sum()), int((~labels).sum())
    if not n_true or not n_false or scores.isnan().any():
        return math.nan
    ranks = torch.from_numpy(rankdata(scores.double().numpy(force=True)))
    above = float(ranks[labels].sum()) - n_true * (n_true + 1) / 2
    return 1 - above / (n_true * n_false)


def transferred_gain(
    y: Float[Tensor, "network n"],
    base: Float[Tensor, "network n p"],
    extra: Float[Tensor, "network n q"],
    held_out: int,
) -> float:
    """R^2 on one network of least squares fitted on the others: base + extra, minus max(base alone, 0).

    The maximum gives no credit for beating a base that predicts worse than the mean.

    Every column and y are standardised within each network (a constant column becomes 0), so that scales need not
    transfer; R^2 = 1 - squared error / sum of squares of the standardised y. Negative where the extra columns
    mislead. NaN if y is constant on the held-out network, on all others, or there are no others.
    """
    y, base, extra = (_standardised(values.double()) for values in (y[..., None], base, extra))
    others = [i for i in range(len(y)) if i != held_out]
    if not others or not y[held_out].any() or not y[others].any():
        return math.nan
    alone = _transferred(y, base, others, held_out)
    return _transferred(y, torch.cat([base, extra], dim=-1), others, held_out) - max(alone, 0.0)


def cross_validated_gain(
    y: Float[Tensor, " n"], base: Float[Tensor, "n p"], extra: Float[Tensor, "n q"], seed: int, folds: int = 5
) -> float:
    """R^2 of y by least squares on base + extra, minus that on base alone or 0 if that is more; cross-validated.

    Each fold is predicted by the others; R^2 = 1 - squared errors of all folds / squares of y about its mean. `seed`
    draws the folds. NaN if y is constant. Errors: InputError for fewer points than folds.
    """
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import KFold, cross_val_predict

    if not 2 <= folds <= len(y):
        raise InputError(f"{folds} folds need 2 to n = {len(y)}")
    target, split = y.double().numpy(), KFold(folds, shuffle=True, random_state=seed)
    squares = float(((target - target.mean()) ** 2).sum())
    if squares == 0:
        return math.nan

    def r_squared(columns: Tensor) -> float:
        predicted = cross_val_predict(LinearRegression(), columns.double().numpy(), target, cv=split)
        return 1 - float(((target - predicted) ** 2).sum()) / squares

    return r_squared(torch.cat([base, extra], dim=1)) - max(r_squared(base), 0.0)


def group_ratio(values: Float[Tensor, " n"], scores: Float[Tensor, " n"], cut: float) -> float:
    """Mean of `values` where scores <= cut over the mean of the rest.

    NaN if either group is empty or the rest's mean is not positive: "k times as important" then says nothing.
    """
    low = scores <= cut
    rest = values[~low].double().mean()
    if scores.isnan().any() or not rest > 0:
        return math.nan
    return float(values[low].double().mean() / rest)


def _standardised(values: Float[Tensor, "network n p"]) -> Float[Tensor, "network n p"]:
    """Mean 0 and mean square 1 within each network; what does not vary is 0."""
    centred = values - values.mean(1, keepdim=True)
    scale = centred.square().mean(1, keepdim=True).sqrt()
    rounding = 1e-9 * values.abs().amax(1, keepdim=True)
    return torch.where(scale > rounding, centred / scale, 0.0)


def _transferred(y: Tensor, columns: Tensor, others: list[int], held_out: int) -> float:
    """R^2 on the held-out network; without an intercept, since everything is centred."""
    slopes = torch.linalg.lstsq(
        columns[others].flatten(0, 1), y[others].flatten(0, 1), driver="gelsd"
    ).solution
    error = y[held_out] - torch.einsum("np,pq->nq", columns[held_out], slopes)
    return float(1 - error.square().sum() / y[held_out].square().sum())


def _deviations(values: Float[Tensor, "*draws n"], means: Float[Tensor, "*draws _"]) -> Tensor:
    """float64 values - means; rows are NaN where that is no more than rounding of the values."""
    left = values.double() - means
    rounding = max(8 * torch.finfo(values.dtype).eps, 1e-13) * values.double().norm(dim=-1, keepdim=True)
    return torch.where(left.norm(dim=-1, keepdim=True) > rounding, left, math.nan)


def _group_means(values: Tensor, groups: Tensor) -> Tensor:
    _, place = groups.unique(return_inverse=True)
    sums = values.new_zeros(int(place.max()) + 1 if len(place) else 0).index_add_(0, place, values)
    return (sums / torch.bincount(place, minlength=len(sums)))[place]
