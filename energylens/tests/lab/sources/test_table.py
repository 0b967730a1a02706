import pytest

import energylens.lab.sources
from energylens.errors import InputError
from energylens.lab.sources.table import MODEL_TASKS, SOURCES, source_of
from energylens.models.zoo import ZOO

MOON = """
from energylens.lab.sources.base import Source
from energylens.sae.planted_dictionary import PlantedDictionary


class Moon(Source):
    name = "moon"

    def models(self):
        return {"moon-1l": "tides"}

    def recipe(self, model, seed, untrained):
        return PlantedDictionary(seed=seed + 100)
"""


def test_every_model_has_one_source():
    names = [model for source in SOURCES.values() for model in source().models()]
    assert sorted(names) == sorted(MODEL_TASKS)
    assert len(set(names)) == len(names)
    assert set(names) > set(ZOO)
    for model in MODEL_TASKS:
        assert model in source_of(model).models()
        assert source_of(model).recipe(model, 3, untrained=False).label()


def test_an_unknown_model_is_refused_with_those_that_there_are():
    with pytest.raises(InputError, match=r"unknown model 'modadd-9l'; known: .*modadd-1l"):
        source_of("modadd-9l")


def test_a_new_source_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "moon.py").write_text(MOON)
    monkeypatch.setattr(energylens.lab.sources, "__path__", [*energylens.lab.sources.__path__, str(tmp_path)])
    source_of.cache_clear()
    try:
        assert source_of("moon-1l").recipe("moon-1l", 1, untrained=False).seed == 101
    finally:
        source_of.cache_clear()
