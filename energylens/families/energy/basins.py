"""Basins: do tokens of one class descend the energy the same way? Clusters of descent directions and token classes.

A basin is a cluster of unit descent directions -grad E / |grad E| of the gold lens energy, fitted on discovery
documents and applied to confirmation documents; agreement with the classes is the adjusted Rand index, 0 in
expectation for clusters that know nothing and 1 for the classes themselves.

Which token is classified: the one *at* the position, which is what a feature fires on and what the published
basins were named after. The direction itself is made of the lens's expectation at this position and of the token
that follows it (dE/dlogits = p - onehot(y)), so it depends on two tokens, and neither needs a network. Baselines are
clusters, by the same algorithm, of W_E of the token at the position and of W_U of the next token.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from torch import Generator, Tensor

from energylens.errors import InputError
from energylens.families.energy.token_classes import CLASSES, MODULE, REGEX, UNLABELLED, document_labels
from energylens.lenses.depth import activations_at
from energylens.lenses.logit import logit_lens
from energylens.metrics.association import permuted_within
from energylens.metrics.energy import energy_and_gradient
from energylens.metrics.stability import unit_rows
from energylens.models.network import Network
from energylens.models.tasks.text import TextOnCorpus, Windows

N_OTHERS = 64
"""Number of windows without a regex, of each split: one in sixteen of all."""

LEAST = 20
"""Smallest number of tokens that every class must have in both splits."""

BASELINES = ("this token", "next token")
"""Clusterings that see one token each: W_E of the token at the position, and W_U of the token that follows."""

Classes = Int[Tensor, " token"]


@dataclass(frozen=True, eq=False)
class LabelledText:
    """Windows of the modules of one split, with the class of every token in them.

    labels: int64 [window pos], class of the token at a position, a number in CLASSES; next_labels: of its target;
    UNLABELLED where there is none. Both are UNLABELLED at BOS. documents: int64 [window].
    """

    split: str
    tokens: Int[Tensor, "window pos"]
    targets: Int[Tensor, "window pos"]
    labels: Int[Tensor, "window pos"]
    next_labels: Int[Tensor, "window pos"]
    documents: Int[Tensor, " window"]


def labelled_text(network: Network, split: str, seed: int, n_others: int = N_OTHERS) -> LabelledText:
    """Every window of a split's modules that holds a regex token, and `n_others` of the rest, drawn with `seed`.

    Regexes are so rare (3 windows in 100 of discovery documents, 1 of confirmation documents) that random windows
    alone hold too few; all are taken, so none is chosen. Errors: InputError for a network without text, another
    split, or fewer than n_others windows of modules without a regex.
    """
    if not isinstance(network.task, TextOnCorpus):
        raise InputError(
            f"classes of tokens need a network that reads text; {network.name} does {network.task.name!r}"
        )
    if split not in ("discovery", "confirmation"):
        raise InputError(
            f"basins are fitted on discovery and tested on confirmation documents, received {split!r}"
        )
    windows = network.task.windows(split)
    following, is_module = _classes_of(network.task, windows)
    labels = torch.cat([torch.full_like(following[:, :1], UNLABELLED), following[:, :-1]], dim=1)
    following[:, 0] = UNLABELLED
    has_regex = (labels == REGEX).any(1)
    others = (is_module & ~has_regex).nonzero().flatten()
    if not 0 <= n_others <= len(others):
        raise InputError(
            f"modules of {split} have {len(others)} windows without a regex, received n_others {n_others}"
        )
    drawn = others[torch.randperm(len(others), generator=Generator().manual_seed(seed))[:n_others]]
    rows = torch.cat([has_regex.nonzero().flatten(), drawn]).sort().values
    parts = (windows.tokens, windows.targets, labels, following, windows.documents)
    return LabelledText(split, *(part[rows] for part in parts))


def _classes_of(
    task: TextOnCorpus, windows: Windows
) -> tuple[Int[Tensor, "window pos"], Bool[Tensor, " window"]]:
    """Class of every target, and which windows are from modules."""
    labels = torch.full_like(windows.targets, UNLABELLED)
    is_module = torch.zeros(len(labels), dtype=torch.bool)
    for document in windows.documents.unique().tolist():
        if task.corpus.names[document].startswith(MODULE):
            rows = windows.documents == document
            places = windows.starts[rows, None] + torch.arange(task.n_ctx)
            labels[rows] = torch.tensor(document_labels(task.corpus, document), dtype=torch.int64)[places]
            is_module |= rows
    return labels, is_module


@dataclass(frozen=True, eq=False)
class Labelled:
    """The labelled tokens of one split, with the vectors that a clustering sees.

    seen: "descent", and the BASELINES, unit rows [token d_model] each. labels, next_labels: see LabelledText.
    documents: where each token stands.
    """

    seen: Mapping[str, Float[Tensor, "token d_model"]]
    labels: Classes
    next_labels: Classes
    documents: Int[Tensor, " token"]

    def only(self, chosen: Bool[Tensor, " token"]) -> "Labelled":
        """The same for some of the tokens."""
        seen = {name: rows[chosen] for name, rows in self.seen.items()}
        return Labelled(seen, self.labels[chosen], self.next_labels[chosen], self.documents[chosen])

    @property
    def counts(self) -> dict[str, int]:
        """Tokens by class."""
        return {name: int((self.labels == label).sum()) for label, name in enumerate(CLASSES)}


def labelled_tokens(network: Network, hook_name: str, text: LabelledText) -> Labelled:
    """The tokens of a text that have a class, with their descent directions at a hook.

    Errors: InputError for a hook as in `activations_at`, or a gradient that is exactly 0.
    """
    labelled = text.labels != UNLABELLED
    lens, x = logit_lens(network), activations_at(network, [hook_name], text.tokens)[hook_name]
    this, following = text.tokens[labelled], text.targets[labelled]
    _, gradient = energy_and_gradient(lens, x[labelled], following)
    seen = {"descent": -gradient, "this token": network.W_E[this], "next token": lens.W_U.mT[following]}
    return Labelled(
        {name: unit_rows(rows) for name, rows in seen.items()},
        text.labels[labelled],
        text.next_labels[labelled],
        text.documents[:, None].expand_as(labelled)[labelled],
    )


def clusters(
    fitted: Float[Tensor, "row d"], applied: Float[Tensor, "other d"], seed: int, k: int = len(CLASSES)
) -> Int[Tensor, " other"]:
    """Number of the nearest of `k` centres for every row of `applied`; KMeans on `fitted`, best of 10 starts.

    Errors: InputError for fewer than k rows to fit, or none to apply to.
    """
    if len(fitted) < k or not len(applied):
        raise InputError(
            f"{k} clusters need {k} rows and some to apply them to, received {len(fitted)}, {len(applied)}"
        )
    centres = KMeans(k, n_init=10, random_state=seed).fit(fitted.numpy(force=True))
    return torch.from_numpy(centres.predict(applied.numpy(force=True))).long()


def agreement(labels: Classes, found: Classes) -> float:
    """Adjusted Rand index (Hubert and Arabie 1985) of classes and clusters."""
    return float(adjusted_rand_score(labels.numpy(force=True), found.numpy(force=True)))


@dataclass(frozen=True, eq=False)
class Basins:
    """Cluster of every token of `tokens`, by what the clustering saw; the centres were fitted on other tokens."""

    tokens: Labelled
    found: Mapping[str, Classes]

    def agreements(self, labels: Classes | None = None) -> dict[str, float]:
        """Adjusted Rand index with the classes, by what the clustering saw; other classes may be given.

        Tokens that these leave UNLABELLED are left out.
        """
        wanted = self.tokens.labels if labels is None else labels
        counted = wanted != UNLABELLED
        return {name: agreement(wanted[counted], of[counted]) for name, of in self.found.items()}

    def shuffled(self, generator: Generator, draws: int) -> list[dict[str, float]]:
        """`agreements` with the classes shuffled within documents."""
        _, groups = self.tokens.documents.unique(return_inverse=True)
        labels = self.tokens.labels
        return [self.agreements(labels[rows]) for rows in permuted_within(groups, generator, draws)]


def excess(agreements: Mapping[str, float]) -> float:
    """Agreement of descent directions minus that of the better BASELINE."""
    return agreements["descent"] - max(agreements[name] for name in BASELINES)


def basins(discovery: Labelled, confirmation: Labelled, seed: int) -> Basins:
    """Clusters fitted on discovery tokens and applied to confirmation tokens, for each kind of vector."""
    found = {name: clusters(rows, confirmation.seen[name], seed) for name, rows in discovery.seen.items()}
    return Basins(confirmation, found)


def too_few(*sides: Labelled, least: int = LEAST) -> str:
    """Text that names a class with fewer than `least` tokens in a split, with its count; empty if there is none."""
    few = [f"{n} {name}" for side in sides for name, n in side.counts.items() if n < least]
    return f"only {', '.join(few)} tokens, {least} are needed" if few else ""


def balanced(tokens: Labelled, seed: int) -> Labelled:
    """A mask of as many tokens of every class as the rarest class has, drawn with `seed`."""
    n = min(tokens.counts.values())
    return tokens.only(some_of_each(tokens.labels, n, Generator().manual_seed(seed)))


def some_of_each(labels: Int[Tensor, "*tokens"], n: int, generator: Generator) -> Bool[Tensor, "*tokens"]:
    """True at `n` random tokens of every class; at all of a class that has fewer."""
    chosen = torch.zeros_like(labels, dtype=torch.bool)
    for label in range(len(CLASSES)):
        where = (labels.flatten() == label).nonzero().flatten()
        chosen.view(-1)[where[torch.randperm(len(where), generator=generator)[:n]]] = True
    return chosen
