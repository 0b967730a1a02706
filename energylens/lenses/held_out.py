"""Held-out text for energies: as many windows of every document, so that documents can be exchanged."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from energylens.errors import InputError
from energylens.models.network import Network
from energylens.models.tasks.text import TextOnCorpus

PER_DOCUMENT = 4
"""Windows of every document; documents with fewer are left out."""


@dataclass(frozen=True, eq=False)
class HeldOutText:
    """Windows of one held-out split, document by document; all documents have as many.

    tokens, targets: int64 [window, pos]; position 0 is BOS, is never counted, and its target is not used.
    documents: int64 [document], numbers in the corpus. starts: int64 [window], where in its document the window's
    first target stands.
    """

    split: str
    tokens: Int[Tensor, "window pos"]
    targets: Int[Tensor, "window pos"]
    documents: Int[Tensor, " document"]
    starts: Int[Tensor, " window"]

    @property
    def n_documents(self) -> int:
        """The number of exchangeable units."""
        return len(self.documents)


def held_out_text(network: Network, split: str, seed: int, per_document: int = PER_DOCUMENT) -> HeldOutText:
    """`per_document` random windows of every document of "discovery" or "confirmation" that has so many.

    Errors: InputError for a network without text, another split, or fewer than two documents that are long enough.
    """
    if not isinstance(network.task, TextOnCorpus):
        raise InputError(
            f"energies of text need a network that reads text; {network.name} does {network.task.name!r}"
        )
    if split not in ("discovery", "confirmation"):
        raise InputError(f"energies are taken on discovery or confirmation documents, received {split!r}")
    windows, generator = network.task.windows(split), Generator().manual_seed(seed)
    shuffled = torch.randperm(len(windows.tokens), generator=generator)
    of = windows.documents[shuffled]
    chosen = [shuffled[of == document][:per_document].sort().values for document in of.unique()]
    enough = [rows for rows in chosen if len(rows) == per_document]
    if per_document < 1 or len(enough) < 2:
        raise InputError(
            f"{len(enough)} {split} documents have {per_document} windows; two are needed at least"
        )
    rows = torch.cat(enough)
    documents = windows.documents[rows[::per_document]]
    return HeldOutText(split, windows.tokens[rows], windows.targets[rows], documents, windows.starts[rows])


def counted(text: HeldOutText) -> Bool[Tensor, "window pos"]:
    """True at every token but BOS."""
    found = torch.ones_like(text.tokens, dtype=torch.bool)
    found[:, 0] = False
    return found
