import torch

from energylens.energy.planted import FIRING, LATENTS, PLANTED, planted_latents
from energylens.metrics.alignment import AlignmentStatistics


def test_planted_latents_align_and_no_others(readings):
    reading = readings["confirmation"]
    acts, directions, planted = planted_latents(reading, torch.Generator().manual_seed(0))
    assert acts.shape == (len(reading.x), LATENTS)
    assert int(planted.sum()) == PLANTED
    assert torch.allclose(directions.norm(dim=1), torch.ones(LATENTS))
    fires = (acts != 0).double().mean(0)
    assert (fires - FIRING).abs().max() < 2 / len(acts)
    statistics = AlignmentStatistics(directions)
    statistics.update(acts, reading.gradient)
    efas = statistics.compute().efas_all
    assert efas[planted].mean() > 0.08
    assert efas[~planted].mean().abs() < 0.01


def test_the_draw_follows_its_generator(readings):
    reading = readings["confirmation"]
    first, again, other = (planted_latents(reading, torch.Generator().manual_seed(s))[0] for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
