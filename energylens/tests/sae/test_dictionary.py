import pytest
import torch

from energylens.sae.dictionary import ROWS_AT_ONCE, Dictionary, of_saes, random_dictionary
from energylens.sae.planted import PlantedDictionary
from energylens.sae.recipe import TrainSAEs
from energylens.sae.sae import SAEs
from energylens.sae.variants import TopK
from energylens.store import Artifact, no_progress

K = 5


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def x():
    """Rows of very different variances, about a mean far from 0."""
    return normal(3 * ROWS_AT_ONCE + 7, 12) * torch.linspace(0.1, 3, 12) + 5


@pytest.fixture(scope="module")
def random(x):
    return random_dictionary(x, d_sae=48, k=K, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def saes(x):
    recipe = TrainSAEs(
        PlantedDictionary(),
        None,
        TopK(3),
        d_sae=20,
        steps=40,
        batch=64,
        seeds=(5, 6),
        n_heldout=50,
        autocast="fp32",
    )
    return SAEs.from_artifact(recipe.build([Artifact({"x": x[:600].numpy()})], no_progress))


def test_acts_in_parts_are_those_of_one_go(x, random, saes):
    for dictionary in (random, of_saes(saes, 6)):
        for n in (1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, len(x)):
            acts = dictionary.acts(x[:n])
            assert acts.shape == (n, len(dictionary.W_dec))
            torch.testing.assert_close(acts, dictionary.encode(x[:n]), rtol=1e-4, atol=1e-4)


def test_no_more_rows_are_encoded_at_once(x):
    sizes = []

    def encode(rows):
        sizes.append(len(rows))
        return rows.relu()

    Dictionary(torch.eye(12), encode).acts(x)
    assert sizes == [ROWS_AT_ONCE] * 3 + [7]


def test_an_sae_is_the_one_of_its_seed(x, saes):
    for seed in (5, 6):
        dictionary = of_saes(saes, seed)
        assert torch.equal(dictionary.W_dec, saes.decoder(seed))
        torch.testing.assert_close(dictionary.acts(x), saes.encode(x, seed), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(of_saes(saes, 5).W_dec, of_saes(saes, 6).W_dec)


def test_random_directions_are_of_unit_length_and_at_most_k_fire(x, random):
    assert torch.allclose(random.W_dec.norm(dim=1), torch.ones(48))
    l0 = (random.acts(x) != 0).sum(1)
    assert l0.max() == K
    assert l0.double().mean() > K - 0.5


def test_the_k_largest_positive_coordinates_are_the_activations(x, random):
    """Token by token, by sorting; a token with fewer positive ones keeps those."""
    acts, mean = random.acts(x[:200]), x.double().mean(0)
    for row, found in zip(x[:200].double(), acts, strict=True):
        coordinates = [(float((row - mean) @ d), i) for i, d in enumerate(random.W_dec.double())]
        expected = torch.zeros(48)
        for value, i in sorted(coordinates, reverse=True)[:K]:
            expected[i] = max(value, 0.0)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_random_directions_lie_where_the_activations_vary(x):
    """Squared coordinates of unit rows add up to 1; by covariance the last axis has over 800 times the first's."""
    wide = random_dictionary(x, 4000, K, torch.Generator().manual_seed(0))
    share = wide.W_dec.square().mean(0)
    assert share[-1] > 20 * share[0]
    assert (share.diff() > 0).all()


def test_the_generator_fixes_the_directions(x, random):
    again, other = (random_dictionary(x, 48, K, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    assert torch.equal(random.W_dec, again.W_dec)
    assert not torch.allclose(random.W_dec, other.W_dec)


def test_parts_bring_what_others_have_at_their_rows(x, random):
    numbers = torch.arange(len(x))
    parts = list(random.in_parts(x, numbers, x))
    assert torch.equal(torch.cat([of for _, of, _ in parts]), numbers)
    for acts, _, rows in parts:
        assert len(rows) <= ROWS_AT_ONCE
        assert torch.equal(acts, random.encode(rows))
