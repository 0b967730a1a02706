from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from energylens.errors import InputError
from energylens.families.energy import basins as module
from energylens.families.energy.basins import (
    BASELINES,
    Basins,
    Labelled,
    agreement,
    balanced,
    basins,
    clusters,
    excess,
    labelled_text,
    labelled_tokens,
    some_of_each,
    too_few,
)
from energylens.families.energy.token_classes import MODULE, REGEX, UNLABELLED, document_labels
from energylens.lenses.logit import logit_lens
from energylens.metrics.energy import energy_and_gradient
from energylens.metrics.stability import unit_rows
from energylens.models.tasks import Text

MIDDLE = "blocks.0.hook_resid_post"


@pytest.fixture(scope="module")
def texts(network):
    return [labelled_text(network, split, seed=0, n_others=64) for split in ("discovery", "confirmation")]


@pytest.fixture(scope="module")
def sides(network, texts):
    return [labelled_tokens(network, MIDDLE, text) for text in texts]


def planted(n=60, d=6, spread=0.1, seed=0):
    """Directions of three classes, each around its own axis; the baselines know nothing."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    noise = torch.randn(3, n, d, generator=generator)
    seen = {"descent": unit_rows(torch.eye(d)[labels] + spread * noise[0])}
    seen |= {name: unit_rows(rows) for name, rows in zip(BASELINES, noise[1:], strict=True)}
    return Labelled(seen, labels, labels.roll(1), torch.arange(n) // 10)


def rand_index(labels, found):
    """Adjusted Rand index by counting pairs."""
    pairs = list(combinations(range(len(labels)), 2))
    together = [labels[i] == labels[j] for i, j in pairs]
    clustered = [found[i] == found[j] for i, j in pairs]
    both = sum(a and b for a, b in zip(together, clustered, strict=True))
    expected = sum(together) * sum(clustered) / len(pairs)
    most = (sum(together) + sum(clustered)) / 2
    return (both - expected) / (most - expected)


class TestText:
    def test_every_window_with_a_regex_and_some_of_the_rest(self, network, texts):
        for text in texts:
            every = network.task.windows(text.split)
            corpus = network.task.corpus
            n_regex = 0
            for start, document in zip(every.starts.tolist(), every.documents.tolist(), strict=True):
                if corpus.names[document].startswith(MODULE):
                    labels = document_labels(corpus, document)[start : start + network.task.n_ctx - 1]
                    n_regex += bool((labels == REGEX).any())
            assert int((text.labels == REGEX).any(1).sum()) == n_regex > 0
            assert len(text.tokens) == n_regex + 64

    def test_labels_are_those_of_the_token_at_the_position(self, network, texts):
        corpus, text = network.task.corpus, texts[1]
        every = network.task.windows("confirmation")
        for row in range(0, len(text.tokens), 10):
            at = int((every.tokens == text.tokens[row]).all(1).nonzero()[0])
            labels = document_labels(corpus, int(text.documents[row]))[int(every.starts[at]) :]
            n_ctx = network.task.n_ctx
            assert text.labels[row].tolist() == [UNLABELLED, *labels[: n_ctx - 1].tolist()]
            assert text.next_labels[row].tolist() == [UNLABELLED, *labels[1:n_ctx].tolist()]

    def test_only_modules(self, network, texts):
        names = {network.task.corpus.names[i] for text in texts for i in text.documents.tolist()}
        assert all(name.startswith(MODULE) for name in names)

    def test_the_seed_draws_the_rest(self, network, texts):
        again, other = (labelled_text(network, "confirmation", seed, 64) for seed in (0, 1))
        assert torch.equal(again.tokens, texts[1].tokens)
        assert not torch.equal(other.tokens, texts[1].tokens)

    def test_errors_say_what_was_received(self, network):
        with pytest.raises(InputError, match="'train'"):
            labelled_text(network, "train", 0)
        with pytest.raises(InputError, match="n_others 100000000"):
            labelled_text(network, "confirmation", 0, 10**8)
        with pytest.raises(InputError, match="'text'"):
            labelled_text(type(network)("x", 0, network.bridge, Text(16), {}), "confirmation", 0)

    def test_a_corpus_without_modules_is_an_error(self, placed_network):
        with pytest.raises(InputError, match="0 windows"):
            labelled_text(placed_network, "confirmation", 0)


class TestTokens:
    def test_descent_is_minus_the_gradient_at_each_labelled_token(self, network, texts, sides):
        text, tokens = texts[1], sides[1]
        x = network.run([MIDDLE], text.tokens)[MIDDLE]
        _, gradient = energy_and_gradient(logit_lens(network), x, text.targets)
        rows = [
            -gradient[w, p] / gradient[w, p].norm() for w, p in (text.labels != UNLABELLED).nonzero().tolist()
        ]
        torch.testing.assert_close(tokens.seen["descent"], torch.stack(rows), rtol=1e-3, atol=1e-5)

    def test_baselines_know_one_token_each(self, network, texts, sides):
        counted = texts[1].labels != UNLABELLED
        W_U = network.bridge.state_dict()["unembed.weight"]
        for name, weights, ids in zip(
            BASELINES, (network.W_E, W_U), (texts[1].tokens, texts[1].targets), strict=True
        ):
            expected = unit_rows(weights[ids[counted]])
            torch.testing.assert_close(sides[1].seen[name], expected)

    def test_every_labelled_token_and_no_other(self, texts, sides):
        for text, tokens in zip(texts, sides, strict=True):
            assert len(tokens.labels) == int((text.labels >= 0).sum())
            assert sum(tokens.counts.values()) == len(tokens.labels)
            assert all(len(rows) == len(tokens.labels) for rows in tokens.seen.values())

    def test_a_hook_that_does_not_exist(self, network, texts):
        with pytest.raises(InputError, match="hook_resid_past"):
            labelled_tokens(network, "blocks.0.hook_resid_past", texts[1])

    def test_a_gradient_of_zero_has_no_direction(self, network, texts, monkeypatch):
        monkeypatch.setattr(
            "energylens.families.energy.basins.energy_and_gradient",
            lambda lens, x, targets: (torch.zeros(len(x)), torch.zeros_like(x)),
        )
        with pytest.raises(InputError, match="no direction"):
            labelled_tokens(network, "blocks.0.hook_resid_post", texts[1])


class TestClusters:
    def test_planted_basins_are_found(self):
        found = basins(planted(seed=0), planted(seed=1), seed=0).agreements()
        assert found["descent"] == 1
        assert excess(found) > 0.8

    def test_when_directions_are_embeddings_nothing_is_left(self, sides):
        """The baseline must take everything off if a direction knows no more than its token."""
        same = [
            Labelled(
                {**side.seen, "descent": side.seen["this token"]},
                side.labels,
                side.next_labels,
                side.documents,
            )
            for side in sides
        ]
        found = basins(*same, seed=0).agreements()
        assert found["descent"] == found["this token"]
        assert excess(found) <= 0

    def test_noise_is_rejected(self):
        noisy = [planted(300, spread=100.0, seed=seed) for seed in (0, 1)]
        assert abs(basins(*noisy, seed=0).agreements()["descent"]) < 0.1

    def test_confirmation_tokens_do_not_move_the_centres(self):
        """One row is put where it would be put among others."""
        fitted, applied = planted(seed=0).seen["descent"], planted(seed=1).seen["descent"]
        together = clusters(fitted, applied, seed=0)
        alone = torch.cat([clusters(fitted, row[None], seed=0) for row in applied[:5]])
        assert torch.equal(together[:5], alone)

    def test_the_seed_decides(self, sides):
        fitted, applied = (side.seen["descent"] for side in sides)
        assert torch.equal(clusters(fitted, applied, 0), clusters(fitted, applied, 0))

    def test_too_few_rows(self):
        with pytest.raises(InputError, match="received 2, 5"):
            clusters(torch.eye(5)[:2], torch.eye(5), 0)
        with pytest.raises(InputError, match="received 5, 0"):
            clusters(torch.eye(5), torch.eye(5)[:0], 0)


class TestAgreement:
    @given(arrays(np.int64, (2, 8), elements=st.integers(0, 2)))
    def test_pairs_counted_by_hand(self, drawn):
        labels, found = torch.from_numpy(drawn)
        expected = 1.0
        if len(labels.unique()) > 1 or len(found.unique()) > 1:
            expected = rand_index(labels.tolist(), found.tolist())
        assert agreement(labels, found) == pytest.approx(expected)

    @given(arrays(np.int64, 12, elements=st.integers(0, 2)), st.permutations([0, 1, 2]))
    def test_names_of_clusters_do_not_matter(self, drawn, names):
        labels = torch.arange(12) % 3
        found = torch.from_numpy(drawn)
        renamed = torch.tensor(names)[found]
        assert agreement(labels, found) == pytest.approx(agreement(labels, renamed))

    def test_unlabelled_tokens_are_left_out(self):
        tokens = planted()
        found = Basins(tokens, {"descent": tokens.labels})
        others = tokens.labels.clone()
        others[::2] = UNLABELLED
        assert found.agreements(others) == {"descent": 1.0}

    def test_shuffled_classes_agree_with_nothing(self):
        tokens = planted(300)
        found = Basins(tokens, dict.fromkeys(("descent", *BASELINES), tokens.labels))
        values = [one["descent"] for one in found.shuffled(torch.Generator().manual_seed(0), 20)]
        assert abs(float(np.mean(values))) < 0.05

    def test_shuffles_stay_within_documents(self):
        """Where every document has one class, shuffling within documents changes nothing."""
        tokens = planted()
        whole = Labelled(tokens.seen, tokens.labels, tokens.next_labels, tokens.labels)
        found = Basins(whole, {"descent": tokens.labels})
        assert found.shuffled(torch.Generator().manual_seed(0), 3) == [{"descent": 1.0}] * 3

    def test_the_better_baseline_is_taken_off(self):
        assert excess({"descent": 0.5, "this token": 0.1, "next token": 0.3}) == pytest.approx(0.2)


class TestCounts:
    def test_too_few_of_a_class_is_said(self):
        few = planted().only(torch.arange(60) < 50)
        assert too_few(planted()) == ""
        assert too_few(planted(), few) == "only 17 word, 17 number, 16 regex tokens, 20 are needed"

    def test_balanced_has_as_many_of_each(self, sides):
        tokens = balanced(sides[0], seed=0)
        assert set(tokens.counts.values()) == {min(sides[0].counts.values())}

    def test_some_of_each_keeps_shape_and_takes_all_of_the_rare(self):
        labels = torch.tensor([[0, 0, 0, 1], [2, 2, UNLABELLED, UNLABELLED]])
        chosen = some_of_each(labels, 2, torch.Generator().manual_seed(0))
        assert chosen.shape == labels.shape
        assert labels[chosen].bincount().tolist() == [2, 1, 2]

    def test_the_claims_least_is_what_is_asked_for(self):
        assert module.LEAST == 20
