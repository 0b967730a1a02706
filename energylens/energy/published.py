"""The published estimator of EFAS on a real network: short texts, differences along positions, selected values."""

import torch
from torch import Generator

from energylens.energy.dictionary import Dictionary
from energylens.energy.reading import Reading
from energylens.metrics import as_published_efas
from energylens.metrics.as_published_efas import PublishedLevel

LENGTHS = (10, 11, 13, 15, 19)
"""Tokens of the texts, one after the other, as the published sentences had words; shorter in shorter windows."""


def published_level(
    dictionary: Dictionary, reading: Reading, shuffle: Generator | None = None
) -> PublishedLevel:
    """`as_published_efas.level` over one text from the start of every window.

    shuffle: activations are shuffled over the tokens of each text, so that none belongs to its token any more.
    """
    acts = dictionary.acts(reading.x)
    n_pos, found = reading.text.tokens.shape[1] - 1, []
    for i, start in enumerate(range(0, len(acts), n_pos)):
        length = min(LENGTHS[i % len(LENGTHS)], n_pos)
        part = acts[start : start + length]
        if shuffle is not None:
            part = part[torch.randperm(length, generator=shuffle)]
        scores = as_published_efas.scores(reading.energy[start : start + length], part)
        found.append(as_published_efas.kept(scores[~scores.isnan()]))
    return as_published_efas.level(found)
