import dataclasses

import pytest
import torch

from energylens.errors import InputError
from energylens.lenses.held_out import counted, held_out_text
from energylens.models.corpus import BOS
from energylens.models.tasks import Text
from energylens.models.tasks.text import TextOnCorpus

N_CTX = 4
DISCOVERY, CONFIRMATION = {5: 99, 6: 8, 7: 7, 8: 99, 9: 98}, {10: 7, 11: 13, 12: 40, 13: 12}
"""Tokens of held-out documents by number, as `placed` has them."""


def place(token):
    """(document, place) of a token of the placed corpus."""
    return divmod(int(token) - 1, 100)


@pytest.mark.parametrize(
    ("split", "per_document", "expected"),
    [
        ("discovery", 1, [5, 6, 7, 8, 9]),
        ("discovery", 2, [5, 6, 8, 9]),
        ("discovery", 24, [5, 8, 9]),
        ("confirmation", 3, [11, 12, 13]),
    ],
)
def test_as_many_windows_of_every_document_of_the_split_that_has_them(
    placed_network, split, per_document, expected
):
    text = held_out_text(placed_network, split, seed=0, per_document=per_document)
    assert text.documents.tolist() == expected
    assert text.n_documents == len(expected)
    assert text.tokens.shape == text.targets.shape == (len(expected) * per_document, N_CTX)
    windows = zip(text.tokens, text.targets, text.starts.tolist(), strict=True)
    found = []
    for i, (tokens, targets, start) in enumerate(windows):
        document = expected[i // per_document]
        assert [place(token) for token in targets] == [(document, start + j) for j in range(N_CTX)]
        assert start % N_CTX == 0
        assert tokens.tolist() == [BOS, *targets[:-1].tolist()]
        found.append((document, start))
    assert found == sorted(set(found))


def test_which_windows_is_random_and_the_seeds(placed_network):
    first, again, other = (held_out_text(placed_network, "discovery", seed, 3) for seed in (0, 0, 1))
    assert torch.equal(first.tokens, again.tokens)
    assert first.starts.tolist() != other.starts.tolist()
    assert first.documents.tolist() == other.documents.tolist()
    drawn = [held_out_text(placed_network, "confirmation", seed, 1) for seed in range(60)]
    starts = {int(text.starts[text.documents == 12]) for text in drawn}
    assert starts == set(range(0, 40, N_CTX))


def test_discovery_and_confirmation_share_no_document(network):
    splits = network.task.corpus.splits
    for split in ("discovery", "confirmation"):
        text = held_out_text(network, split, seed=0)
        assert {splits[document] for document in text.documents.tolist()} == {split}
        assert len(text.documents.unique()) == text.n_documents > 10
        assert len(text.tokens) % text.n_documents == 0


def test_windows_stand_document_by_document(placed_network):
    text = held_out_text(placed_network, "discovery", seed=0, per_document=5)
    of_windows = [{place(token)[0] for token in row.tolist()} for row in text.targets]
    assert of_windows == [{document} for document in text.documents.tolist() for _ in range(5)]


def test_bos_is_not_counted_and_every_other_token_is(network):
    text = held_out_text(network, "discovery", seed=0)
    assert torch.equal(counted(text), text.tokens != BOS)
    assert not counted(text)[:, 0].any()


@pytest.mark.parametrize("split", ["train", "held-out", "test"])
def test_other_splits_are_refused_by_name(placed_network, split):
    with pytest.raises(InputError, match=f"received {split!r}"):
        held_out_text(placed_network, split, seed=0)


@pytest.mark.parametrize(("per_document", "n"), [(10, 1), (11, 0), (0, 4), (-1, 0)])
def test_one_document_can_not_be_exchanged(placed_network, per_document, n):
    with pytest.raises(InputError, match=f"{n} confirmation documents have {per_document} windows"):
        held_out_text(placed_network, "confirmation", seed=0, per_document=per_document)


def test_a_network_without_text_is_refused(placed_network):
    assert isinstance(placed_network.task, TextOnCorpus)
    unbound = dataclasses.replace(placed_network, task=Text(N_CTX))
    with pytest.raises(InputError, match="tiny does 'text'"):
        held_out_text(unbound, "discovery", seed=0)
