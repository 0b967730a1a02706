import pytest
import torch

from energylens.families.energy.as_published import LENGTHS, following, kept, level, published_level, scores
from energylens.sae.dictionary import Dictionary, random_dictionary


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def dictionary(readings):
    return random_dictionary(readings["confirmation"].x, 64, 6, rng())


def test_the_level_is_that_of_one_short_text_per_window(readings, dictionary):
    reading = readings["confirmation"]
    acts, n_pos, found = dictionary.acts(reading.x), reading.text.tokens.shape[1] - 1, []
    for window in range(len(reading.text.tokens)):
        part = slice(window * n_pos, window * n_pos + min(LENGTHS[window % len(LENGTHS)], n_pos))
        aligned = scores(reading.energy[part], acts[part])
        found.append(kept(aligned[~aligned.isnan()]))
    assert published_level(dictionary.acts(reading.x), reading) == level(found)


def test_shuffling_leaves_the_level_where_features_fire_once(readings):
    reading = readings["confirmation"]
    once = Dictionary(torch.eye(16), lambda x: torch.eye(16).repeat(-(-len(x) // 16), 1)[: len(x)])
    acts = once.acts(reading.x)
    given, shuffled = published_level(acts, reading), published_level(acts, reading, rng())
    assert shuffled.mean == pytest.approx(given.mean, rel=0.02)
    assert given.mean > 0.2


def test_shuffling_lowers_the_level_of_what_follows_the_energy(readings):
    reading = readings["confirmation"]
    acts = following(reading, 64, rng())
    level, shuffled = published_level(acts, reading), published_level(acts, reading, rng())
    assert shuffled.mean < 0.8 * level.mean
