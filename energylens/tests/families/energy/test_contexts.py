import dataclasses

import pytest
import torch

from energylens.families.energy.contexts import AROUND, CONTEXTS, SHOWN, feature_table
from energylens.families.energy.energy_study import EnergyStudy
from energylens.sae.dictionary import random_dictionary


@pytest.fixture(scope="module")
def study(readings):
    dictionary = random_dictionary(readings["discovery"].x, 64, 8, torch.Generator().manual_seed(0))
    return EnergyStudy(dictionary, readings, seed=0)


def test_contexts_are_the_strongest_tokens_of_different_documents(study, network):
    table = feature_table(study, network)
    reading, corpus = study.readings["confirmation"], network.task.corpus
    acts = study.dictionary.acts(reading.x)
    n_pos = reading.text.tokens.shape[1] - 1
    assert len(table["rows"]) == SHOWN
    assert all(len(row) == len(table["columns"]) for row in table["rows"])
    for row, latent in zip(table["rows"], study.top[:SHOWN].tolist(), strict=True):
        assert row[0] == str(latent)
        assert row[1] == pytest.approx(float(study.alignment("discovery").efas_all[latent]))
        assert row[3] == int((acts[:, latent] != 0).sum())
        strongest = int(acts[:, latent].argmax())
        window, position = divmod(strongest, n_pos)
        tokens = reading.text.tokens[window].tolist()
        before, marked, after = row[4]
        assert marked == corpus.decode(tokens[position + 1 : position + 2])
        assert before == corpus.decode(tokens[max(1, position + 1 - AROUND) : position + 1])
        assert after == corpus.decode(tokens[position + 2 : position + 2 + AROUND])


def test_a_latent_that_never_fires_has_no_context(study, network):
    silent = dataclasses.replace(study.dictionary, encode=lambda x: torch.zeros(len(x), 64))
    mute = EnergyStudy(silent, study.readings, seed=0)
    mute.__dict__["top"] = torch.arange(2)  # nothing qualifies by itself
    assert [row[4:] for row in feature_table(mute, network)["rows"]] == [[""] * CONTEXTS] * 2
