import dataclasses
import math
from collections import Counter

import pytest
import torch
from torch.nn.functional import cross_entropy, layer_norm

from energylens.lenses.held_out import held_out_text
from energylens.lenses.logit import logit_lens
from energylens.lenses.reading import COVARIATES, read, token_log_frequency
from energylens.metrics.lens import Translator

MIDDLE, LATE = "blocks.0.hook_resid_post", "blocks.1.hook_resid_post"
PER_DOCUMENT = 2


def tuned(lens):
    """The lens with a translator that is not 0."""
    generator = torch.Generator().manual_seed(3)
    A, b = (torch.randn(*shape, generator=generator) / 4 for shape in ((16, 16), (16,)))
    return dataclasses.replace(lens, translator=Translator(A, b))


@pytest.fixture(scope="module", params=["logit-middle", "tuned-middle", "logit-late"])
def reading(request, network):
    kind, site = request.param.split("-")
    lens = logit_lens(network)
    text = held_out_text(network, "discovery", seed=1, per_document=PER_DOCUMENT)
    hook_name = MIDDLE if site == "middle" else LATE
    return read(network, network.task.corpus, hook_name, text, tuned(lens) if kind == "tuned" else lens)


@pytest.fixture(scope="module")
def one_window(network):
    """The middle of the network on the first windows of two documents."""
    text = held_out_text(network, "discovery", seed=1, per_document=1)
    whole = {name: getattr(text, name)[:2] for name in ("tokens", "targets", "documents", "starts")}
    kept = dataclasses.replace(text, **whole)
    return read(network, network.task.corpus, MIDDLE, kept, logit_lens(network))


def slow_logits(lens, x):
    """norm(x + A x + b) W_U + b_U in float64, by functions of torch."""
    x = x.double()
    if lens.translator is not None:
        x = x + x @ lens.translator.A.double().T + lens.translator.b.double()
    normed = layer_norm(x, (16,), lens.norm.gain.double(), lens.norm.bias.double(), lens.norm.eps)
    return normed @ lens.W_U.double() + lens.b_U.double()


@pytest.mark.parametrize("hook_name", [MIDDLE, LATE])
def test_rows_are_the_counted_tokens_in_order(network, hook_name):
    text = held_out_text(network, "discovery", seed=1, per_document=PER_DOCUMENT)
    reading = read(network, network.task.corpus, hook_name, text, logit_lens(network))
    expected = network.run([hook_name], text.tokens, pos=slice(None))[hook_name]
    n_windows, n_pos = text.tokens.shape
    assert len(reading.x) == len(reading.targets) == len(reading.energy) == n_windows * (n_pos - 1)
    row = 0
    for window in range(n_windows):
        for pos in range(1, n_pos):
            assert torch.allclose(reading.x[row], expected[window, pos], atol=1e-5)
            assert reading.targets[row] == text.targets[window, pos]
            row += 1


def test_energy_is_cross_entropy_and_gradient_is_autograds(reading):
    x = reading.x.double().requires_grad_()
    energy = cross_entropy(slow_logits(reading.lens, x), reading.targets, reduction="none")
    (gradient,) = torch.autograd.grad(energy.sum(), x)
    torch.testing.assert_close(reading.energy.double(), energy.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(reading.gradient.double(), gradient, rtol=1e-4, atol=1e-5)
    assert gradient.abs().mean() > 0.01


def test_late_energies_are_the_networks_own_loss(network):
    text = held_out_text(network, "confirmation", seed=0, per_document=1)
    reading = read(network, network.task.corpus, LATE, text, logit_lens(network))
    logits = network.bridge(text.tokens)[:, 1:].flatten(0, 1)
    loss = cross_entropy(logits, text.targets[:, 1:].flatten(), reduction="none")
    torch.testing.assert_close(reading.energy, loss, rtol=1e-4, atol=1e-4)


def test_covariates_by_hand(network, reading):
    corpus = network.task.corpus
    counts = Counter()
    for _, tokens in corpus.documents("train"):
        counts.update(tokens.tolist())
    row = 0
    assert COVARIATES == ("position", "norm of x", "log frequency")
    for window in reading.text.tokens.tolist():
        for pos in range(1, len(window)):
            expected = [
                pos,
                math.sqrt(sum(v * v for v in reading.x[row].tolist())),
                math.log(counts[window[pos]] + 1),
            ]
            assert reading.covariates[row].tolist() == pytest.approx(expected, rel=1e-5)
            row += 1
    assert row == len(reading.covariates)


def test_frequencies_are_those_of_training_documents(placed_network):
    """In the placed corpus every token stands once, and in one document."""
    corpus = placed_network.task.corpus
    found = token_log_frequency(corpus)
    assert found.shape == (2048,)
    expected = torch.zeros(2048)
    for _, tokens in corpus.documents("train"):
        expected[torch.tensor(tokens).long()] = math.log(2)
    torch.testing.assert_close(found, expected)
    assert found[0] == 0
    assert (found > 0).sum() == 90 + 3 + 60 + 99 + 21


def test_documents_are_rows_and_places_columns(reading):
    """Token i of window w of document d stands at place w (n_pos - 1) + i - 1 of row d."""
    text, per_window = reading.text, reading.text.tokens.shape[1] - 1
    rows = reading.by_document(torch.cat([reading.x, reading.targets[:, None].float()], 1))
    assert rows.shape == (text.n_documents, PER_DOCUMENT * per_window, 17)
    for document in range(text.n_documents):
        for window in range(PER_DOCUMENT):
            part = rows[document, window * per_window : (window + 1) * per_window, 16]
            assert torch.equal(part.long(), text.targets[document * PER_DOCUMENT + window, 1:])


# The null by construction


def squared_z(draws):
    """Mean over tokens and dimensions of (mean over draws / its standard error)^2: 1 where the true mean is 0."""
    error = draws.std(0) / math.sqrt(len(draws))
    return float((draws.mean(0) / error).square().mean())


def test_at_every_token_the_redrawn_gradient_is_0_in_expectation(one_window):
    """480 values, correlated within tokens: ten generators gave 1.02, give or take .09.

    A tenth of the confident gradient added to every draw is 5.6 and more, so a bias that small would show.
    """
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([one_window.redrawn_gradient(generator) for _ in range(400)]).double()
    assert squared_z(draws) == pytest.approx(1, abs=0.3)
    confident = one_window.confident_gradient().double()
    assert squared_z(draws + 0.1 * confident) > 4


def test_the_redrawn_gradient_is_that_of_a_lens_token(one_window):
    """Every draw is W_U's pull-back of p - onehot(y): among the gradients of all 2048 targets at that token."""
    drawn = one_window.redrawn_gradient(torch.Generator().manual_seed(7))
    for token in range(0, 30, 6):
        x = one_window.x[token].double().repeat(2048, 1).requires_grad_()
        energy = cross_entropy(slow_logits(one_window.lens, x), torch.arange(2048), reduction="sum")
        (every,) = torch.autograd.grad(energy, x)
        assert (every - drawn[token]).abs().amax(1).min() < 1e-4


def test_draws_follow_their_generator(one_window):
    first, again, other = (
        one_window.redrawn_gradient(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, one_window.gradient)


def test_the_confident_gradient_is_that_of_the_top_token_and_not_0(one_window):
    x = one_window.x.double().requires_grad_()
    logits = slow_logits(one_window.lens, x)
    (expected,) = torch.autograd.grad(cross_entropy(logits, logits.argmax(-1), reduction="sum"), x)
    found = one_window.confident_gradient()
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)
    assert found.norm(dim=1).min() > 0.1
