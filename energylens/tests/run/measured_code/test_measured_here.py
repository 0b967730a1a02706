"""The measure of claims on disk: files that can't be read, what is installed, and every claim of ours."""

from pathlib import Path

import pytest

import energylens
from energylens.errors import InputError
from energylens.run.measured_code.measured import MeasuredCode, reader


def test_a_file_that_cant_be_decoded_or_is_missing_is_named(tmp_path):
    (tmp_path / "test_a.py").write_bytes(b"x = '\xff'")
    code = MeasuredCode(reader(tmp_path, Path(energylens.__path__[0])))
    with pytest.raises(InputError, match=r"test_a\.py can't be read .*mend the file"):
        code.measure("test_a.py", "test_a")
    with pytest.raises(InputError, match=r"gone\.py is missing, so the code that measures the claim test_a"):
        code.measure("gone.py", "test_a")


def test_what_is_installed_below_the_project_is_not_its_own(tmp_path):
    installed = tmp_path / "site-packages" / "helpers.py"
    installed.parent.mkdir()
    (tmp_path / "site-packages" / "test_a.py").write_text("")
    (tmp_path / "test_a.py").write_text("import helpers\ndef test_a():\n    return helpers.f()\n")
    hashes = []
    for text in ("def f(): return 1", "def f(): return 2"):
        installed.write_text(text)
        read = reader(tmp_path, Path(energylens.__path__[0]))
        hashes.append(MeasuredCode(read).measure("test_a.py", "test_a"))
    assert hashes[0] == hashes[1]
    assert read("site-packages/helpers.py") is None
    assert read("energylens/lab/core.py")


PARSED = {}
REPOSITORY = Path(energylens.__path__[0]).parent


@pytest.fixture(scope="module")
def ours():
    """Every file of the package and of the claims of this repository, and bodies by claim."""
    if not (REPOSITORY / "claims").is_dir():
        pytest.skip("an installed copy has no claims")
    from energylens.harness.declare.catalogue import load_claims

    declared = [found.claim for found in load_claims(REPOSITORY / "claims").values()]
    places = {
        each.id: (Path(each.where.rpartition(":")[0]).relative_to(REPOSITORY).as_posix(), each.function)
        for each in declared
    }
    return reader(REPOSITORY, Path(energylens.__path__[0])), places


def test_every_claim_of_ours_has_a_measure_of_its_own_and_every_file_is_read_once(ours):
    read, places = ours
    opened = []

    def counting(path):
        opened.append(path)
        return read(path)

    code = MeasuredCode(counting)
    measures = {name: code.measure(*place) for name, place in places.items()}
    assert len(opened) == len(set(opened)) > len({path for path, _ in places.values()})
    assert all(len(measure) == 16 for measure in measures.values())
    assert len(set(measures.values())) == len(measures)


@pytest.mark.parametrize(
    ("path", "old", "new", "changed"),
    [
        (
            "energylens/metrics/stability.py",
            "def unit_rows",
            "def unit_rows_",
            {"stability.pwmcc-level.topk"},
        ),
        ("energylens/metrics/association.py", "def spearman", "def spearman_", {"efas.predicts-ablation"}),
        (
            "energylens/families/energy/effects.py",
            "def ablation_effects",
            "def effects",
            {"efas.predicts-ablation"},
        ),
        (
            "energylens/interventions/latents.py",
            "def ablate_latents",
            "def ablate",
            {"efas.predicts-ablation"},
        ),
        (
            "energylens/families/spectral/importance_reliability.py",
            "def of_importance(",
            "def of_damage(",
            {"spectral.gap-predicts"},
        ),
        ("energylens/families/fourier/probes.py", "def leak_rates", "def leaks", {"fourier.no-leak"}),
        (
            "energylens/sae/sae.py",
            "acts @ weights.W_dec[i]",
            "2 * acts @ weights.W_dec[i]",
            {"stability.pwmcc-level.topk"},
        ),
        (
            "energylens/sae/methods/topk.py",
            "latent_acts(pre_acts, self.k)",
            "latent_acts(pre_acts, 1)",
            {"efas.predicts-ablation"},
        ),
        (
            "energylens/sae/methods/topk.py",
            "train(x, seeds, settings, self.k, l1, progress)",
            "train(x, seeds, settings, 1, l1, progress)",
            set(),
        ),
        ("energylens/sae/train.py", "import torch", "import torch as t", set()),
        ("energylens/harness/judge.py", "import", "import math, ", set()),
    ],
)
def test_an_edit_of_ours_changes_the_claims_that_it_concerns(ours, path, old, new, changed):
    read, places = ours
    names = {
        "stability.pwmcc-level.topk", "efas.predicts-ablation", "stability.planted", "fourier.causal",
        "spectral.gap-predicts", "fourier.no-leak",
    }  # fmt: skip
    assert old in read(path)
    before = MeasuredCode(read, PARSED)
    after = MeasuredCode(lambda at: read(at).replace(old, new) if at == path else read(at), PARSED)
    found = {name for name in names if before.measure(*places[name]) != after.measure(*places[name])}
    assert changed <= found
    assert bool(found) is bool(changed)
    assert "fourier.causal" not in found


def test_what_is_found_by_its_name_counts(ours):
    read, places = ours
    path, old = "energylens/models/tasks/modadd.py", "def labels"
    assert old in read(path)
    before = MeasuredCode(read, PARSED)
    after = MeasuredCode(lambda at: read(at).replace(old, "def sums") if at == path else read(at), PARSED)
    place = places["fourier.no-leak"]
    assert before.measure(*place) != after.measure(*place)
